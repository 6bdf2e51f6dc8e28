// Package record answers: what does a scan leave behind?
//
// A gate writes one row for each thing that happened: a scan, what the guard
// did about it, a void, a manual card, an event of the device, an hourly
// count. All rows of a gate stand in one sequence (device, epoch, seq) and in
// one chain: each row's [Link] is SHA-256 over the link before it and the
// row's canonical bytes, cut to 16 bytes, so a row that is changed, dropped or
// put in between shows.
//
// Who was scanned is sealed at once to headquarters' key of the day. What is
// stored cannot be opened with anything else that is stored; the gate's memory
// holds the row key of the step of the last scan, and once a scan of a later
// step has turned the ratchet the gate itself cannot open the earlier one again:
//
//	sealer, err := record.NewSealer(id, record.DayKey{Day: "2026-11-23", Public: pub}, stamp)
//	draft, err := sealer.Scan(stamp, record.Scan{Verdict: 1, Reason: 1, Format: 1}, subject)
//	seq, err := db.Append(ctx, draft) // localdb gives it its number and its link
//
// Without a key for the day the gate still writes the row, with the verdict
// and nothing about the person (VERIFY ONLY):
//
//	draft := record.Draft{Stamp: stamp, Body: record.Scan{Verdict: 1, Reason: 1, Format: 1}}
//
// Verdicts, reasons, formats and choices are the numbers of docs/formats.md,
// "Words"; the byte forms are those of its sections "Rows" and "Sealing". The
// package holds values and formats only: it opens no file, asks no clock, and
// does not know where rows are kept or sent. Outside the seal a row holds no
// name, birth date, document number, certificate id, code text or hash of any.
package record
