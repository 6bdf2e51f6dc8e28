// Package wedge reads the texts of hand scanners: lines of standard input or a
// pipe, a serial line, or the keyboard events of a USB scanner.
//
// All three are one type, Source. Next waits for the next text; it is the only
// thing to wait on, there is no goroutine behind it:
//
//	s := wedge.OpenSerial("/dev/ttyUSB0", 9600, time.Now)
//	defer s.Close()
//	for {
//		text, err := s.Next(ctx)
//		switch {
//		case errors.Is(err, wedge.ErrLost): // say so, and call Next again
//		case err != nil: // ErrEnd, or ctx is done
//			return err
//		default:
//			judge(text.Bytes, text.At)
//		}
//	}
//
// A device that is not there, or goes away, is ErrLost once; the following Next
// waits until it is back. What a text holds is not looked at: it may be any
// bytes but CR and LF, from 1 to MaxText of them. A longer line is dropped as a
// whole and counted, never cut: half a code is another code.
package wedge
