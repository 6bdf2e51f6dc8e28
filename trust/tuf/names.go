package tuf

import (
	"encoding/hex"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"
)

// Roles of a repository.
const (
	RoleRoot      = "root"
	RoleTimestamp = "timestamp"
	RoleSnapshot  = "snapshot"
	RoleTargets   = "targets"
	RoleDayKeys   = "daykeys" // delegated by targets: daykeys.json alone, terminating
	RoleRevoked   = "revoked" // delegated by targets: revoked*, terminating
)

// What is delegated, and how; the order is that of the metadata.
var delegated = []struct{ role, paths string }{
	{RoleDayKeys, "daykeys.json"},
	{RoleRevoked, "revoked*"},
}

// Limits. What is longer is not fetched.
const (
	MaxName      = 200       // bytes of a file's name
	MaxRoot      = 64 << 10  // bytes
	MaxTimestamp = 16 << 10  //
	MaxSnapshot  = 64 << 10  //
	MaxTargets   = 2 << 20   //
	MaxDelegated = 256 << 10 // bytes of daykeys or revoked metadata
	MaxTotal     = 64 << 20  // bytes of all files of a generation
	MaxFiles     = 4096      // of a generation

	maxRotations = 64 // roots taken in one Refresh; the next goes on

	// maxVersion is the highest version of any metadata, and maxJump how far one
	// may lie above the one held. Whoever gets an online key could else set the
	// highest version there is, and nothing could ever follow it.
	maxVersion = 1 << 53
	maxJump    = 1 << 32

	// maxAhead is how far an offline date may lie past that of the timestamp over
	// it. The anchor lifts every gate's clock for good: one signer's machine whose
	// clock is a year ahead must not do that.
	maxAhead = 24 * time.Hour
)

const timestampName = "timestamp.json"

// limitOf is the greatest length of a role's metadata.
func limitOf(role string) int64 {
	switch role {
	case RoleRoot:
		return MaxRoot
	case RoleTimestamp:
		return MaxTimestamp
	case RoleSnapshot:
		return MaxSnapshot
	case RoleTargets:
		return MaxTargets
	}
	return MaxDelegated
}

// metadataName is "7.targets.json", and "timestamp.json" for the one that has no
// version in its name.
func metadataName(role string, version int64) string {
	if role == RoleTimestamp {
		return timestampName
	}
	return strconv.FormatInt(version, 10) + "." + role + ".json"
}

// readMetadataName reads a name that metadataName makes.
func readMetadataName(name string) (role string, version int64, ok bool) {
	if name == timestampName {
		return RoleTimestamp, 0, true
	}
	number, rest, _ := strings.Cut(name, ".")
	role, isJSON := strings.CutSuffix(rest, ".json")
	version, err := strconv.ParseInt(number, 10, 64)
	if err != nil || !isJSON || version < 1 || role == RoleTimestamp || role == "" || strings.ContainsAny(role, "./") || name != metadataName(role, version) {
		return "", 0, false
	}
	return role, version, true
}

// targetFile is where a target lies: its hash stands before the last part of its
// name (TUF §6.2.3, consistent snapshots).
func targetFile(name string, sha256 []byte) string {
	folder, base := path.Split(name)
	return "targets/" + folder + hex.EncodeToString(sha256) + "." + base
}

// readTargetFile reads a name that targetFile makes.
func readTargetFile(file string) (name string, sha256 []byte, ok bool) {
	rest, inTargets := strings.CutPrefix(file, "targets/")
	folder, base := path.Split(rest)
	hash, base, cut := strings.Cut(base, ".")
	sum, err := hex.DecodeString(hash)
	if !inTargets || !cut || err != nil || len(sum) != 32 || base == "" || targetFile(folder+base, sum) != file {
		return "", nil, false
	}
	return folder + base, sum, true
}

// delegatedTo is the role that a target belongs to.
func delegatedTo(target string) string {
	switch {
	case target == "daykeys.json":
		return RoleDayKeys
	case strings.HasPrefix(target, "revoked") && !strings.Contains(target, "/"):
		return RoleRevoked
	}
	return RoleTargets
}

// plural writes "1 key", "2 keys".
func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
