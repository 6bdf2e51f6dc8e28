package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"checkpoint/enroll"
	"checkpoint/uplink"
)

// enrol enrols a device with $CODE.
func enrol(ts *testscript.TestScript, neg bool, args []string) {
	token, err := enroll.ParseToken(ts.Getenv("CODE"))
	ts.Check(err)
	device := [16]byte{1}
	if len(args) > 0 {
		copy(device[:], args[0])
	}
	client, err := uplink.New(uplink.Config{
		URL: token.URL, Version: "test",
		Pins:  func() [][32]byte { return [][32]byte{token.Pin} },
		Clock: func() (time.Time, bool) { return time.Now(), true },
	})
	ts.Check(err)
	defer client.Close()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	public, segment, err := ed25519.GenerateKey(nil)
	ts.Check(err)
	request, err := enroll.NewRequest(&token, device, key, segment, "test")
	ts.Check(err)
	grant, err := client.Enroll(context.Background(), request)
	var no *uplink.Refusal
	if neg {
		if !errors.As(err, &no) {
			ts.Fatalf("it was not refused: %v", err)
		}
		ts.Logf("refused: %s", no.Word)
		return
	}
	ts.Check(err)
	if sha256.Sum256(grant.Root) != token.Root {
		ts.Fatalf("another root came than the code names")
	}
	spki, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	ts.Check(err)
	word := enroll.Word(sha256.Sum256(token.Secret[:]), sha256.Sum256(spki), public)
	if grant.State == "pending" && grant.Word != word {
		ts.Fatalf("the hub's word is %s, the gate's %s", grant.Word, word)
	}
	ts.Setenv("WORD", word)
	ts.Setenv("STATE", grant.State)
}
