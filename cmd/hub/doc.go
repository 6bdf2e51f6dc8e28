// Hub is the program upstream of the gates: it takes what they recorded,
// answers with receipts, and tells them what to trust.
//
// This package is wiring: flags, one configuration file, one data directory,
// exit codes. What a segment, a gate and a repository are lives in the rooms
// below it. Every command is one file, named for it.
//
// Commands that change something reach the hub in one of three ways, and all
// three speak the same requests (docs/formats.md, "Admin" and "Operator"):
//
//	--hub URL --cert FILE    over HTTPS, as the person whom the certificate names
//	hub.sock in --dir        at a hub that serves from this data directory
//	neither                  in this process, on the store itself
package main
