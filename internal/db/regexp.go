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

// Matching selects rows whose column matches the pattern somewhere, in any case.
func Matching(q *bun.SelectQuery, column, pattern string) *bun.SelectQuery {
	if q.Dialect().Name() == dialect.PG {
		return q.Where("? ~* ?", bun.Ident(column), pattern)
	}
	return q.Where("? REGEXP ?", bun.Ident(column), pattern)
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
			if last.MatchString(args[1].Text()) {
				return sqlite.IntegerValue(1), nil
			}
			return sqlite.IntegerValue(0), nil
		}})
}
