// Package trust answers: which issuer keys, revocations, policies and day keys
// hold, and what date did the signer give each?
//
// Everything is a value, a Snapshot, made by Parse (the unsigned JSON form,
// for checking codes against keys of one's own) or by ParseSigned (the same
// bytes under one Ed25519 signature whose key the gate has pinned), or by
// Assemble of the targets of a repository, which package trust/tuf has proven.
// All are strict: an unknown key, a list over its limit, a time not in UTC or a key
// that is no key refuses the whole file with one clear error. The one
// exception are lists of foreign keys: a world's worth of certificates always
// holds a few broken ones, so these are left out one by one and named in
// Snapshot.Skipped.
//
// The package knows no files, networks, databases or clocks. Forms and limits
// stand in docs/formats.md, "Trust snapshot" and "Trust targets".
package trust
