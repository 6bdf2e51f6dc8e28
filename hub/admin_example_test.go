package hub

import (
	"bytes"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"checkpoint/hub/store"
)

var update = flag.Bool("update", false, "write the examples anew")

// TestAdminExamples compares answers with the examples of docs/formats.md.
func TestAdminExamples(t *testing.T) {
	w := newTown(t)
	w.furnish()
	pending := w.store.gates["south gate"]
	pending.State, pending.SeenMS = store.Pending, 0
	w.store.gates["south gate"] = pending
	north := w.store.gates["north gate"]
	north.Report = []byte(`{"version":"v1.4.0","time":"2026-11-25T12:29:58Z","clock":"synced","trust_version":7,"list_ages_s":{"issuers":640,"revoked":640},` +
		`"last":1204,"waiting":0,"oldest_s":0,"poison":0,"unrecorded":0,"disk_used":0.83,"disk_days":11,"camera":"ok","fps":29.4,"shown":1210,"read":1204,` +
		`"verdict_p50_ms":120,"verdict_p95_ms":260}`)
	w.store.gates["north gate"] = north
	client := w.person("chen", Headquarters)
	for name, path := range map[string]string{
		"admin-gates.json":    "gates",
		"admin-rows.json":     "rows?venue=north",
		"admin-bucket.ndjson": fmt.Sprintf("bucket?day=2026-11-25&venue=north&hour=%d", floorHour(noon.UnixMilli())),
	} {
		t.Run(name, func(t *testing.T) {
			r, err := http.NewRequest(http.MethodGet, w.url+pathAdmin+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			response, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			var got bytes.Buffer
			if _, err := got.ReadFrom(response.Body); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("..", "docs", "examples", name)
			if *update {
				if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Bytes(), want) {
				t.Errorf("the answer is no longer as the example:\n%s\nwant\n%s", got.Bytes(), want)
			}
		})
	}
}

func TestNeedsAreInTheOrderOfTheTable(t *testing.T) {
	g := store.Gate{State: store.Pending, OffsetMS: 1 << 40}
	e := (&Hub{cfg: Config{Now: func() time.Time { return noon }}}).gateEntry(&g)
	if len(e.Needs) != 4 || e.Needs[0] != "confirm" || e.Needs[1] != "certificate" || e.Needs[2] != "clock" || e.Needs[3] != "silent" {
		t.Errorf("needs = %v", e.Needs)
	}
}
