package signal

import (
	"encoding/binary"
	"math"
	"time"
)

const (
	rate = 8000 // samples a second
	tone = 2000 // Hz: where small loudspeakers and older ears both still do well
)

// WAV is a rhythm as a sound file: 8 kHz, 8 bit, mono PCM (RIFF/WAVE), a
// 2 kHz tone of Beep's length at each start. A rhythm without beeps is a file
// without samples.
func WAV(r Rhythm) []byte {
	var length time.Duration
	if n := len(r.Starts); n > 0 {
		length = r.Starts[n-1] + Beep
	}
	n := samples(length)
	b := make([]byte, 44+n)
	le := binary.LittleEndian
	copy(b, "RIFF")
	le.PutUint32(b[4:], uint32(36+n))
	copy(b[8:], "WAVEfmt ")
	le.PutUint32(b[16:], 16) // size of the fmt chunk
	le.PutUint16(b[20:], 1)  // PCM
	le.PutUint16(b[22:], 1)  // mono
	le.PutUint32(b[24:], rate)
	le.PutUint32(b[28:], rate) // bytes a second
	le.PutUint16(b[32:], 1)    // bytes a sample
	le.PutUint16(b[34:], 8)    // bits a sample
	copy(b[36:], "data")
	le.PutUint32(b[40:], uint32(n))
	pcm := b[44:]
	for i := range pcm {
		pcm[i] = 128 // silence of 8 bit PCM
	}
	const ramp = rate / 200 // 5 ms in and out, so that the speaker does not click
	beep := samples(Beep)
	for _, at := range r.Starts {
		for i := range beep {
			loud := min(1, float64(i)/ramp, float64(beep-1-i)/ramp)
			pcm[samples(at)+i] = byte(128 + math.Round(110*loud*math.Sin(2*math.Pi*tone*float64(i)/rate+0.3)))
		}
	}
	return b
}

func samples(d time.Duration) int { return int(d * rate / time.Second) }
