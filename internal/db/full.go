package db

import (
	"errors"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"

	"nacre/internal/db/lite"
)

// pgDiskFull is PostgreSQL's word for a full disk.
const pgDiskFull = "53100"

// IsFull tells whether the error says that a disk is full, the database's or
// another one. The transaction has not happened.
func IsFull(err error) bool {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return true
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == pgDiskFull
	}
	return lite.IsFull(err)
}
