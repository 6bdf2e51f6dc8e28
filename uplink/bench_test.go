package uplink

import (
	"fmt"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"checkpoint/record"
)

// BenchmarkSend sends segments of native scans over TLS to a hub in this
// process: pack, encrypt, and check the receipt on one side, unpack and parse on
// the other. It reports
//
//	cpu-µs/row   user and system time of both sides
func BenchmarkSend(b *testing.B) {
	for _, rows := range []int{50, 256} {
		for _, http2 := range []bool{false, true} {
			b.Run(fmt.Sprintf("rows=%d/http2=%v", rows, http2), func(b *testing.B) {
				h := newHubWith(b, newAuthority(b, nil), nil, func(s *httptest.Server) { s.EnableHTTP2 = http2 })
				c := h.client(b, nil)
				c.own = c.transport(true, http2)
				cut := segment(b, gateA, 1, 1, rows)
				send(b, c, cut)
				before := cpu()
				n := 0
				for b.Loop() {
					send(b, c, cut)
					n++
				}
				b.ReportMetric(float64((cpu()-before).Microseconds())/float64(n*rows), "cpu-µs/row")
			})
		}
	}
}

// What a handshake for each segment would cost.
func BenchmarkSendWithoutKeepAlive(b *testing.B) {
	h := newHub(b)
	c := h.client(b, nil)
	cut := segment(b, gateA, 1, 1, 50)
	before := cpu()
	n := 0
	for b.Loop() {
		send(b, c, cut)
		c.Close()
		n++
	}
	b.ReportMetric(float64((cpu()-before).Microseconds())/float64(n*50), "cpu-µs/row")
}

func send(b *testing.B, c *Client, cut record.Cut) {
	a, err := c.Send(b.Context(), cut)
	if err != nil || a.Outcome != Received {
		b.Fatal(a, err)
	}
}

func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkPack compares the levels on segments of native scans, whose sealed
// half does not shrink.
func BenchmarkPack(b *testing.B) {
	for _, rows := range []int{50, 256} {
		cut := segment(b, gateA, 1, 1, rows)
		for _, level := range []zstd.EncoderLevel{zstd.SpeedFastest, zstd.SpeedDefault, zstd.SpeedBetterCompression} {
			b.Run(fmt.Sprintf("rows=%d/%v", rows, level), func(b *testing.B) {
				e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(level), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(record.MaxSegment), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false))
				if err != nil {
					b.Fatal(err)
				}
				var packed []byte
				b.ReportAllocs()
				for b.Loop() {
					packed = e.EncodeAll(cut.Bytes, packed[:0])
				}
				b.ReportMetric(float64(len(packed))/float64(rows), "B/row")
				b.ReportMetric(float64(len(cut.Bytes))/float64(rows), "unpacked-B/row")
			})
		}
	}
}
