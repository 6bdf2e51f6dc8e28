package postgres

import (
	"context"
	"errors"
	"iter"

	"checkpoint/hub/store"
)

// Export yields all that the store holds.
func (s *Store) Export(context.Context) iter.Seq2[store.Entry, error] {
	return func(yield func(store.Entry, error) bool) { yield(store.Entry{}, errors.New("not yet")) }
}

// Import fills an empty store.
func (s *Store) Import(context.Context, iter.Seq2[store.Entry, error]) error {
	return errors.New("not yet")
}
