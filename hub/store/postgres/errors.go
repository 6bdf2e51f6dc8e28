package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"checkpoint/hub/store"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// SQLSTATEs that something is done about (PostgreSQL, Appendix A).
const (
	uniqueViolation     = "23505"
	serializationFailed = "40001"
	deadlockDetected    = "40P01"
)

// explain says what was tried, and turns an error of the server or of the way
// to it into one of the store's where there is one.
func explain(op string, err error) error {
	if err == nil {
		return nil
	}
	for _, known := range []error{store.ErrNotFound, store.ErrExists, store.ErrStale, store.ErrState, store.ErrNewer, store.ErrOlder,
		store.ErrFull, store.ErrUnavailable, store.ErrUnfinished, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, known) {
			return fmt.Errorf("%s: %w", op, err)
		}
	}
	if is := kindOf(err); is != nil {
		return fmt.Errorf("%s: %w (%w)", op, is, err)
	}
	return fmt.Errorf("%s: %w", op, err)
}

func kindOf(err error) error {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		switch {
		case e.Code == "53100": // disk_full
			return store.ErrFull
		case e.Code[:2] == "08", // connection exception
			e.Code[:2] == "53",                   // insufficient resources: too many connections, memory
			e.Code[:2] == "57",                   // operator intervention: shutdown, start-up, statement timeout
			e.Code[:2] == "58",                   // system error, e.g. of the disk
			e.Code == "25006",                    // read only: a standby
			e.Code == "55P03",                    // lock_timeout
			e.Code[:2] == "40",                   // serialization, deadlock: tried often enough
			e.Code == "25P02", e.Code == "25P03": // a transaction that was ended
			return store.ErrUnavailable
		}
		return nil
	}
	var connect *pgconn.ConnectError
	var network net.Error
	if errors.As(err, &connect) || errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || pgconn.SafeToRetry(err) || errors.Is(err, errClosed) || errors.Is(err, errUnsure) {
		return store.ErrUnavailable
	}
	return nil
}

// sqlState is the server's code of an error, "" when it is not the server's.
func sqlState(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// missing turns the error of a row that is not there into the store's.
func missing(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return store.ErrNotFound
	}
	return err
}
