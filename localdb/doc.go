// Package localdb answers: what does the gate remember?
//
// One SQLite file holds the rows that this gate wrote, in one sequence and one
// chain (package record), the trust that is installed, who the device is, how
// late it surely is, and the hourly counts. Beside it stand SQLite's -wal and
// -shm, a lock file and a side file of 4 KiB (docs/formats.md, "Database
// file").
//
//	db, err := localdb.Open(ctx, "gate.db", localdb.Options{Now: stamp, HardwareID: serial})
//	defer db.Close(ctx, stamp())
//	seq, err := db.Append(ctx, draft) // returns when the row is on the disk
//
// A row that Append has acknowledged survives a crash of the program and a
// power cut (write-ahead log, synchronous=FULL). A row that cannot be written
// is said to be so: the caller then calls Unrecorded, which counts it in the
// side file, where room was taken when the file was born.
//
// Peek looks into a file that a gate has open, and changes nothing; LeaveTrust
// leaves trust for that gate.
//
// What it refuses: a file that is not a gate's, one that is newer than the
// program, broken or cut off, one that may not be written, and one that another
// program has open. Each has an error of its own in the words of the person who
// can act. It never drops a row to make room; Purge removes only what the
// retention rule has released.
package localdb
