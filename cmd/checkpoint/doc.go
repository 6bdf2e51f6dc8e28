// Checkpoint is the program of a gate: it reads health codes from a camera, a
// hand scanner or pictures, says what the verdict is and leaves a durable row.
//
// This package is wiring: flags, one configuration file, exit codes. What a
// code means, what a row is and what the screen shows live in the rooms below
// it. Every command is one file, named for it; exit.go holds the exit codes of
// docs/formats.md, config.go the keys of its section "Configuration".
package main
