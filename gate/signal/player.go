package signal

import (
	"bytes"
	"context"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"

	"checkpoint/verify"
)

// Config says how a Player sounds. With neither Beep nor Command it is silent.
type Config struct {
	Mode Mode

	// Beep makes one short sound, such as a terminal's bell. It is called from
	// the player's own goroutine and should return soon: Close waits for it.
	Beep func()

	// Command, when set, is run once a rhythm with a WAV of the whole rhythm
	// (8 kHz, 8 bit, mono) on its standard input, as in {"aplay", "-q"}. It is
	// killed when the next verdict comes or after Timeout.
	Command []string
	Timeout time.Duration // 0: 5 s

	// Failed, when set, is told once when Command cannot be run or fails; from
	// then on the player uses Beep.
	Failed func(error)
}

// Player plays rhythms. The newest verdict wins: it ends the rhythm before it
// at once. Play, Stop and SetMode never wait for a sound.
type Player struct {
	cfg    Config
	mode   atomic.Uint32
	mu     sync.Mutex // guards sending: the newest order stays in the channel
	orders chan order
	cancel context.CancelFunc
	done   chan struct{}
}

// order is what to play next; the zero verdict with stop set is silence.
type order struct {
	stop bool
	name verify.Name
}

// NewPlayer starts a player; Close ends it.
func NewPlayer(cfg Config) *Player {
	if cfg.Timeout <= 0 {
		cfg.Timeout = 5 * time.Second
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &Player{cfg: cfg, orders: make(chan order, 1), cancel: cancel, done: make(chan struct{})}
	p.mode.Store(uint32(cfg.Mode))
	go p.run(ctx)
	return p
}

// Play begins the rhythm of a verdict in place of what is playing.
func (p *Player) Play(n verify.Name) { p.send(order{name: n}) }

// Stop ends what is playing: a key was pressed, or the card has left.
func (p *Player) Stop() { p.send(order{stop: true}) }

// SetMode changes the set of rhythms and ends what is playing.
func (p *Player) SetMode(m Mode) {
	p.mode.Store(uint32(m))
	p.Stop()
}

// Close ends the player and waits for its goroutine and its command.
func (p *Player) Close() {
	p.cancel()
	<-p.done
}

func (p *Player) send(o order) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.orders: // an order nobody has begun yet is outdated
	default:
	}
	p.orders <- o
}

// run is the player's goroutine: it plays at most one rhythm at a time.
func (p *Player) run(ctx context.Context) {
	defer close(p.done)
	var (
		r      Rhythm
		next   int // index of the beep that comes next
		begun  time.Time
		due    = time.NewTimer(time.Hour)
		sound  = sounder{cfg: p.cfg, ended: make(chan error, 1)}
		broken = len(p.cfg.Command) == 0 // no command: every beep by itself
	)
	due.Stop()
	defer due.Stop()
	defer sound.stop()
	for {
		select {
		case <-ctx.Done():
			return
		case o := <-p.orders:
			due.Stop()
			sound.kill()
			r, next = Rhythm{}, 0
			if !o.stop {
				r = For(o.name, Mode(p.mode.Load()))
			}
			if len(r.Starts) > 0 {
				begun = time.Now()
				due.Reset(0)
			}
		case err := <-sound.ended:
			if sound.over(ctx) && err != nil && !broken {
				broken = true
				if p.cfg.Failed != nil {
					p.cfg.Failed(err)
				}
			}
		case <-due.C:
			switch {
			case broken:
				if p.cfg.Beep != nil {
					p.cfg.Beep()
				}
				next++
			default:
				sound.play(ctx, WAV(r))
				next = len(r.Starts)
			}
			if next == len(r.Starts) {
				if r.Again == 0 {
					continue
				}
				next, begun = 0, begun.Add(r.Again)
			}
			due.Reset(time.Until(begun.Add(r.Starts[next])))
		}
	}
}

// sounder runs the command, one process at a time.
type sounder struct {
	cfg    Config
	cancel context.CancelFunc // of the running process; nil: none
	killed bool               // it was ended by us, which is no failure
	queued []byte             // what plays as soon as the old one is gone
	ended  chan error
}

func (s *sounder) play(ctx context.Context, wav []byte) {
	if s.cancel != nil {
		s.kill()
		s.queued = wav
		return
	}
	run, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	s.cancel, s.killed = cancel, false
	go func() {
		c := exec.CommandContext(run, s.cfg.Command[0], s.cfg.Command[1:]...)
		c.Stdin = bytes.NewReader(wav)
		c.WaitDelay = 200 * time.Millisecond // a player that left its pipe to a child
		s.ended <- c.Run()
	}()
}

func (s *sounder) kill() {
	s.queued = nil
	if s.cancel != nil {
		s.killed = true
		s.cancel()
	}
}

// over notes that the process ended, starts the one that waits, and reports
// whether it ended by itself.
func (s *sounder) over(ctx context.Context) bool {
	s.cancel()
	s.cancel = nil
	byItself := !s.killed
	if s.queued != nil {
		wav := s.queued
		s.queued = nil
		s.play(ctx, wav)
	}
	return byItself
}

// stop kills the process and waits for it.
func (s *sounder) stop() {
	s.kill()
	if s.cancel != nil {
		<-s.ended
	}
}
