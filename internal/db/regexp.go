package db

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
	"zombiezen.com/go/sqlite"

	"nacre/internal/errs"
)

// What a regular expression may cost: characters, and what is to be looked for when all
// that it repeats is written out.
const (
	longestPattern = 255
	largestPattern = 10_000
)

// backward is a reference to what a group matched, which PostgreSQL reads where
// Go reads the code of a character.
var backward = regexp.MustCompile(`^(?:[^\\]|\\[^1-9])*\\[1-9]`)

// CheckPattern tells what is wrong with a regular expression of a user. What is
// right matches in time that grows with the text alone: there are no references
// back. PostgreSQL does not understand all of it: see refused.
func CheckPattern(pattern string) error {
	if len(pattern) > longestPattern {
		return fmt.Errorf("a pattern has at most %d characters", longestPattern)
	}
	if backward.MatchString(pattern) {
		return errors.New("a pattern has no references back")
	}
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err == nil && writtenOut(parsed) > largestPattern {
		err = errors.New("a pattern may not repeat that much")
	}
	return err
}

// writtenOut is how large an expression is when what it repeats is written out, which is
// what compiling it does: ((a{99}){99}){99} takes a hundred megabytes.
func writtenOut(re *syntax.Regexp) int {
	n := 1 + len(re.Rune)
	for _, part := range re.Sub {
		n += writtenOut(part)
	}
	if re.Op == syntax.OpRepeat {
		n *= max(re.Min, re.Max, 1)
	}
	return min(n, largestPattern+1)
}

// refused tells the user when PostgreSQL understands no regular expression in what
// SQLite, by Go, does: a{256}, \pL, (?P<n>a).
func refused(err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == pgPattern {
		return errs.BadRequestf("Invalid input for query parameters: %s", pg.Message).Because(err)
	}
	return err
}

// Matching selects rows whose column, as text, matches the pattern somewhere, in any case.
func Matching(q *bun.SelectQuery, column, pattern string) *bun.SelectQuery {
	return q.Where("CAST(? AS TEXT) "+likeness(q)+" ?", bun.Ident(column), pattern)
}

// matchingTime is Matching for a column of times.
func matchingTime(q *bun.SelectQuery, column, pattern string) *bun.SelectQuery {
	text := "strftime('%Y-%m-%d %H:%M:%S', ?0 / 1000000, 'unixepoch')"
	if q.Dialect().Name() == dialect.PG {
		text = "to_char(to_timestamp(?0 / 1000000) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')"
	}
	return q.Where("?0 > 0 AND "+text+" "+likeness(q)+" ?1", bun.Ident(column), pattern)
}

// likeness is the database's operator for regular expressions.
func likeness(q *bun.SelectQuery) string {
	if q.Dialect().Name() == dialect.PG {
		return "~*"
	}
	return "REGEXP"
}

// giveRegexp makes SQLite's operator work, whose function it leaves to us.
func giveRegexp(conn *sqlite.Conn) error {
	var text string
	var last *regexp.Regexp // of text: a query asks about one pattern, row by row
	return conn.CreateFunction("regexp", &sqlite.FunctionImpl{NArgs: 2, Deterministic: true, AllowIndirect: true,
		Scalar: func(_ sqlite.Context, args []sqlite.Value) (sqlite.Value, error) {
			pattern := args[0].Text()
			if last == nil || pattern != text {
				compiled, err := regexp.Compile("(?i)" + pattern)
				if err != nil {
					return sqlite.Value{}, err
				}
				text, last = pattern, compiled
			}
			if args[1].Type() != sqlite.TypeNull && last.MatchString(args[1].Text()) {
				return sqlite.IntegerValue(1), nil
			}
			return sqlite.IntegerValue(0), nil
		}})
}
