// Package tuf brings a repository of trust down, keeps it, and makes one.
//
// A repository is a folder of files, on a hub, a web server or a stick: TUF
// metadata (theupdateframework.github.io/specification, 1.0) in a profile of our
// own, and the targets that package trust reads. docs/formats.md, "Trust
// repository", has every name, limit and role.
//
// # Following
//
// A Client holds one generation, the whole set of files that it took, and the
// trust.Snapshot that they make. It walks the TUF client workflow over go-tuf's
// trusted metadata, which holds signatures, versions, hashes and dates. The
// rest is done here, because there it was seen to fail: what is kept is whole and
// durable (Store), the start is always the newest root that is kept, reading goes
// on without a line and after everything has expired, and what would make
// go-tuf fall over or guess is refused before it sees it.
//
//	client, err := tuf.Open(ctx, store, firstRoot, clock)
//	changed, err := client.Refresh(ctx, fetcher)   // *Refused: why not
//	snapshot := client.Snapshot()                  // nil: nothing yet
//
// # Time
//
// Two dates are not one. Metadata *expires*: that decides only whether metadata
// that comes in is taken, by the guarded clock of whoever asks. What is held never
// goes away by itself; how old it is, is said by the date at which it was
// *issued*, a signed field that TUF does not have, and it is for the gate's ladder
// to judge that. An estimated clock runs behind the truth, so that it may let pass
// what has expired, and never refuses what is good; what it let pass is dated as
// it is, and the ladder sees that as soon as the clock is right. A date that lies
// ahead of the clock refuses nothing: a gate that was off for a month must not
// refuse today's trust. Generation.Anchor, which lifts the clock's floor, is of
// offline signatures only.
//
// Of the roles one is special: revocations that have expired and are held already
// do not stop the rest. They go by their own date, and stopping day keys and
// policies because headquarters could not sign would lose more.
//
// # Making
//
// Offline keys sign drafts, one person at a time, on machines of their own:
// NewRoot, BuildTargets and BuildDelegated draft, AddSignature signs, Check says
// who has signed and what changes, Finish names the file. Online holds a hub's two
// keys and signs which files are the newest. Nothing here signs what a gate would
// refuse.
package tuf
