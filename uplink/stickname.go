package uplink

import (
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"

	"checkpoint/record"
)

// The folders of a stick, and how the names in them end.
const (
	segmentsFolder = "segments"
	receiptsFolder = "receipts"
	trustFolder    = "trust"

	segmentEnd = ".ckseg"
	receiptEnd = ".ckrct"
	partEnd    = ".part" // is being written, or was when the stick was pulled out
)

// stickName is <device>-<epoch>-<number>: what stands on a stick sorts by gate
// and then in order.
type stickName struct {
	record.Identity
	Number uint64
}

func (n stickName) String() string {
	return fmt.Sprintf("%x-%x-%012d", n.Device, n.Epoch, n.Number)
}

// parseStickName takes a file's name, which must be the one way to write it.
func parseStickName(name, end string) (stickName, bool) {
	var n stickName
	text, ok := strings.CutSuffix(name, end)
	if !ok || len(text) < 32+1+16+1+12 || len(text) > 32+1+16+1+20 || text[32] != '-' || text[49] != '-' {
		return n, false
	}
	if _, err := hex.Decode(n.Device[:], []byte(text[:32])); err != nil {
		return n, false
	}
	if _, err := hex.Decode(n.Epoch[:], []byte(text[33:49])); err != nil {
		return n, false
	}
	number, err := strconv.ParseUint(text[50:], 10, 64)
	if err != nil || number == 0 || number > math.MaxInt64 {
		return n, false
	}
	n.Number = number
	return n, n.String()+end == name
}
