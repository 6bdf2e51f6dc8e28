package sqlite

import "testing"

// The pages of a day file are what they were chosen to be: a pragma in the wrong
// place changes nothing, and says nothing.
func TestPageSize(t *testing.T) {
	s := fresh(t).(place).open(t, Options{})
	defer s.Close()
	f, err := s.files.get(t.Context(), otherFile, true)
	if err != nil {
		t.Fatal(err)
	}
	defer s.files.release(f)
	var day, main int
	if err := f.reader.QueryRow(`PRAGMA page_size`).Scan(&day); err != nil {
		t.Fatal(err)
	}
	if err := s.read.QueryRow(`PRAGMA page_size`).Scan(&main); err != nil {
		t.Fatal(err)
	}
	if day != dayPage || main != 4096 {
		t.Errorf("pages of %d and %d bytes", day, main)
	}
}
