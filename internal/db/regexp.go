package db

import (
	"fmt"
	"regexp"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
	"zombiezen.com/go/sqlite"
)

// longestPattern bounds what a regular expression may cost.
const longestPattern = 255

// CheckPattern tells what is wrong with a regular expression of a user. What is
// right both databases understand, and match in time that grows with the text
// alone: there are no references back.
func CheckPattern(pattern string) error {
	if len(pattern) > longestPattern {
		return fmt.Errorf("a pattern has at most %d characters", longestPattern)
	}
	_, err := regexp.Compile(pattern)
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
