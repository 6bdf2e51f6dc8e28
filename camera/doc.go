// Package camera answers one question: where do pictures come from? It gives
// grey frames, one at a time, and knows nothing of QR codes.
//
//	src, err := camera.Open(ctx, "v4l2:auto", camera.Options{})
//	defer src.Close()
//	for {
//		f, err := src.Next(ctx)
//		switch {
//		case errors.Is(err, camera.ErrLost):
//			// say so to the guard; the next call waits for the camera
//		case err != nil:
//			return err // ErrEnd: a folder has shown all its pictures
//		default:
//			read(f) // f.Luma is lent until the next call of Next
//		}
//	}
//
// There are three kinds of source, and camera/synth draws a fourth:
//
//   - V4L2, a camera of the Linux kernel ("v4l2:auto", "v4l2:/dev/video0",
//     "v4l2:/dev/v4l/by-id/…"). A goroutine reads the device and keeps only
//     the newest frame, so a slow reader sees late frames never, fewer frames
//     at worst. The device is opened again after any error, a stall or a
//     replug, also under another node number.
//   - Stream, a network camera ("mjpeg:http://…"), with the same rules.
//   - Dir, a folder of pictures ("dir:PATH"), every picture in natural order;
//     the form is "Replay folder" in docs/formats.md.
//
// Nothing that a camera or a file says is believed: sizes are bounded before
// memory is taken, a broken picture is counted and skipped, and no input ends
// the stream or the program.
//
// # What this package does about github.com/blackjack/webcam
//
// The library opens the device, sets the format and moves buffers. Version
// 0.6.1 needs care, which [V4L2] takes: four buffers instead of 256; frames
// are copied before their buffer goes back to the driver; the real size is
// asked of the kernel, since SetImageFormat returns the size that was asked
// for; the memory maps of a start that failed are released, or the device
// stays busy for ever; the descriptor does not reach child processes; poll's
// POLLERR and POLLHUP end the handle instead of a spin; a buffer number or
// length out of range drops the handle instead of the program.
package camera
