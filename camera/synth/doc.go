// Package synth draws what a camera at a gate would see: people step up, slide
// a phone or a paper into view, hold it not quite still, and leave when they
// got their answer or lose patience.
//
// The camera knows no QR codes. What is held up is a Prop: a square pattern of
// modules, the kind of thing it is on, and how difficult the view is. Config
// asks for the next one at the moment it is held up, so that a code that must
// be fresh can be made then.
//
//	cam, err := synth.New(synth.Config{Seed: 1, Next: props})
//	frame, err := cam.Next(ctx)   // waits for the frame's time
//	cam.Taken(frame.Truth.Presentation)
//
// A picture is made in one pass each: the room and the person are copied, the
// prop is warped into it by one perspective (with the curl of a paper), glare
// is added, then lens and sensor (vignette, exposure, noise). Blur is made on
// the prop's texture when it comes up, at three strengths, of which motion and
// focus choose one a frame. Everything follows from the seed, the props and
// the calls; time comes from the configured clock alone.
package synth
