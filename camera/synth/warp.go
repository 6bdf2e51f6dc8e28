package synth

import "math"

// homography maps points of a plane to the picture:
// x = (m0·u + m1·v + m2) / w, y = (m3·u + m4·v + m5) / w, w = m6·u + m7·v + m8.
type homography [9]float64

// pose is the perspective of a plane seen by a camera of the given focal
// length (pixels): scaled to size pixels a texel, turned by roll, then yaw and
// pitch, with its origin at (x, y).
func pose(roll, yaw, pitch, size, x, y, focal float64) homography {
	sr, cr := math.Sincos(roll)
	sy, cy := math.Sincos(yaw)
	sp, cp := math.Sincos(pitch)
	// Columns of pitch·yaw·roll: where the plane's axes point.
	ax, ay, az := cr*cy, sr*cp+cr*sy*sp, sr*sp-cr*sy*cp
	bx, by, bz := -sr*cy, cr*cp-sr*sy*sp, cr*sp+sr*sy*cp
	f := focal / size
	return homography{
		focal*ax + x*az, focal*bx + x*bz, x * f,
		focal*ay + y*az, focal*by + y*bz, y * f,
		az, bz, f,
	}
}

func (h *homography) at(u, v float64) (x, y float64) {
	w := h[6]*u + h[7]*v + h[8]
	return (h[0]*u + h[1]*v + h[2]) / w, (h[3]*u + h[4]*v + h[5]) / w
}

// inverse is the adjoint: the same map backwards up to scale, which cancels.
func (h *homography) inverse() homography {
	return homography{
		h[4]*h[8] - h[5]*h[7], h[2]*h[7] - h[1]*h[8], h[1]*h[5] - h[2]*h[4],
		h[5]*h[6] - h[3]*h[8], h[0]*h[8] - h[2]*h[6], h[2]*h[3] - h[0]*h[5],
		h[3]*h[7] - h[4]*h[6], h[1]*h[6] - h[0]*h[7], h[0]*h[4] - h[1]*h[3],
	}
}

// span is how many pixels of a row share one perspective division; between
// them the texture runs evenly. At the tilts drawn here that is off by less
// than a hundredth of a texel.
const span = 8

// warp draws the texture into dst (w×h) under the homography of its plane,
// whose origin lies at texel (ox, oy). A texel holds luma in its low and
// coverage in its high half; both are interpolated at once.
func warp(dst []byte, w, h int, tex []uint32, tw, th int, ox, oy float64, fwd homography, bend []int32) {
	// The picture's part that the texture can reach.
	x0, y0, x1, y1 := math.Inf(1), math.Inf(1), math.Inf(-1), math.Inf(-1)
	for _, c := range [4][2]float64{{0, 0}, {float64(tw), 0}, {float64(tw), float64(th)}, {0, float64(th)}} {
		x, y := fwd.at(c[0]-ox, c[1]-oy)
		x0, y0, x1, y1 = min(x0, x), min(y0, y), max(x1, x), max(y1, y)
	}
	left, top := int(max(0, x0)), int(max(0, y0))
	right, bottom := int(min(float64(w), x1+1)), int(min(float64(h), y1+1))
	inv := fwd.inverse()
	place := func(x, y float64) (u, v float64) {
		u, v = inv.at(x, y)
		// Far outside is outside; this keeps the fixed point from wrapping.
		return min(max(u+ox-0.5, -16000), 16000), min(max(v+oy-0.5, -16000), 16000)
	}
	maxU, maxV := int32(tw-2), int32(th-2)
	for y := top; y < bottom; y++ {
		row := dst[y*w : (y+1)*w]
		fu, fv := place(float64(left)+0.5, float64(y)+0.5)
		for x := left; x < right; x += span {
			nu, nv := place(float64(x+span)+0.5, float64(y)+0.5)
			u, v := int32(fu*65536), int32(fv*65536)
			du, dv := (int32(nu*65536)-u)/span, (int32(nv*65536)-v)/span
			fu, fv = nu, nv
			for i := x; i < min(x+span, right); i++ {
				tu, tv := u>>16, v
				if uint32(tu) <= uint32(maxU) {
					tv += bend[tu]
					if ty := tv >> 16; uint32(ty) <= uint32(maxV) {
						at := int(ty)*tw + int(tu)
						wx, wy := uint32(u>>8)&255, uint32(tv>>8)&255
						a, b := tex[at:at+2:at+2], tex[at+tw:at+tw+2:at+tw+2]
						p := (a[0]*(256-wx) + a[1]*wx) >> 8 & 0x00ff00ff
						q := (b[0]*(256-wx) + b[1]*wx) >> 8 & 0x00ff00ff
						p = (p*(256-wy) + q*wy) >> 8 & 0x00ff00ff
						if cover := p >> 16; cover >= 250 {
							row[i] = byte(p)
						} else if cover > 0 {
							row[i] = byte((p&255*cover + uint32(row[i])*(255-cover)) / 255)
						}
					}
				}
				u += du
				v += dv
			}
		}
	}
}
