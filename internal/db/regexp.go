package db

import (
	"database/sql/driver"
	"fmt"
	"regexp"
	"sync"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
	"modernc.org/sqlite"
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
var giveRegexp = sync.OnceFunc(func() {
	var mu sync.Mutex // guards text and last
	var text string
	var last *regexp.Regexp // of text: a query asks about one pattern, row by row
	sqlite.MustRegisterDeterministicScalarFunction("regexp", 2, func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
		pattern, _ := args[0].(string)
		value, _ := args[1].(string)
		mu.Lock()
		if last == nil || pattern != text {
			compiled, err := regexp.Compile("(?i)" + pattern)
			if err != nil {
				mu.Unlock()
				return nil, err
			}
			text, last = pattern, compiled
		}
		re := last
		mu.Unlock()
		return re.MatchString(value), nil
	})
})
