package localdb

import (
	"os"

	"pgregory.net/rapid"
)

// kill lets go of the file without an orderly end, as far as one process can:
// nothing pending is written. SQLite empties its log when the last connection
// closes; that changes no row.
func (db *DB) kill() {
	db.closing.Store(true)
	close(db.quit)
	<-db.ended
	db.closed.Store(true)
	db.release()
}

func tempFolder(t *rapid.T) (folder string, remove func()) {
	folder, err := os.MkdirTemp("", "queue")
	if err != nil {
		t.Fatal(err)
	}
	return folder, func() { os.RemoveAll(folder) }
}
