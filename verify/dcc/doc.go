// Package dcc reads EU Digital COVID Certificates: HC1: and the Base45 text of
// a zlib stream of a COSE_Sign1 of a CBOR Web Token whose claim -260 holds a
// vaccination, a test or a recovery.
//
// Sources: eHealth Network, Electronic Health Certificates specification 1.3.0
// (container) and the EU DCC JSON schema 1.3.3 (content).
//
// The container is checked strictly where that protects (lengths, inflated
// size, duplicate keys, depth, one entry only) and leniently where issuers are
// known to differ: the key id may stand in the unprotected header, tag 61 may
// stand around tag 18, numbers may be floats, dates may carry tag 0, groups
// may be null, names may have blanks around them.
//
// As in package healthcode nothing of the content can be read before the
// signature holds, and the algorithm is the key's, never the message's.
package dcc
