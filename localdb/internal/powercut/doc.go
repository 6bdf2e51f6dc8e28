// Package powercut is a file system for tests that loses what was not synced.
//
// It is one flat folder, served over FUSE from memory. Each file has two
// contents: the live one, which programs see, and the durable one, which takes
// over what was written only when the program syncs the file. Names are the
// same: a file that was made, renamed or removed is so for good only once its
// folder was synced. [FS.Cut] stops the world in the middle of any operation
// and gives what a disk would hold at the next start.
//
// It is stricter than most disks, which write some things by themselves; with
// a random source, a cut keeps a random part of the unsynced sectors and names
// too, in any order, as a disk's own cache may.
//
// The program under test must be another process: a page fault in a mapped
// file is served by this one, whose scheduler cannot see that the thread waits.
package powercut
