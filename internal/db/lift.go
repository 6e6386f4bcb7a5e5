package db

import (
	"strconv"
	"strings"
)

// mostLifted bounds the values of a statement that is worth keeping: those with
// more are lists, of another length each time.
const mostLifted = 64

// lift takes the values out of a statement of the query builder and leaves its
// form, with a question mark for each. Values are the texts, and the whole numbers
// of the rows that are inserted; elsewhere only the long ones, since short ones are
// limits, positions, and what partial indexes ask for. It is not ok with what is
// no query, or not plain.
func lift(text string) (form string, values []any, ok bool) {
	verb, _, _ := strings.Cut(strings.TrimLeft(text, " \t\n"), " ")
	insert := verb == "INSERT"
	if !insert && verb != "SELECT" && verb != "UPDATE" && verb != "DELETE" && verb != "WITH" {
		return "", nil, false
	}
	rows := false // inside the rows of an INSERT
	var b strings.Builder
	b.Grow(len(text))
	copied := 0
	replace := func(from, to int, value any) {
		b.WriteString(text[copied:from])
		b.WriteByte('?')
		values, copied = append(values, value), to
	}
	for i := 0; i < len(text) && len(values) <= mostLifted; {
		end := i + 1
		switch c := text[i]; {
		case c == '\'':
			var value string
			value, end = quoted(text, i)
			if end < 0 {
				return "", nil, false
			}
			if value != "" {
				replace(i, end, value)
			}
		case c == '"':
			_, end = quoted(text, i)
			if end < 0 {
				return "", nil, false
			}
		case isWord(c):
			for end < len(text) && (isWord(text[end]) || text[end] == '.') {
				end++
			}
			word := text[i:end]
			switch {
			case end < len(text) && text[end] == '\'': // a blob
				_, end = quoted(text, end)
				if end < 0 {
					return "", nil, false
				}
			case word == "VALUES":
				rows = insert
			case word == "ON", word == "RETURNING", word == "WHERE":
				rows = false
			case (c >= '1' && c <= '9' || word == "0") && (rows || len(word) >= 10):
				n, err := strconv.ParseInt(word, 10, 64)
				if err == nil {
					replace(i, end, n)
				}
			}
		case c == '?', c == '`', c == '-' && strings.HasPrefix(text[i:], "--"), c == '/' && strings.HasPrefix(text[i:], "/*"):
			return "", nil, false
		}
		i = end
	}
	if len(values) > mostLifted {
		return "", nil, false
	}
	b.WriteString(text[copied:])
	return b.String(), values, true
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// quoted reads what stands in quotes from there on, a doubled one being one, and
// says where it ends, -1 for nowhere.
func quoted(text string, from int) (value string, end int) {
	quote := text[from]
	begin, doubled := from+1, false
	for i := begin; i < len(text); i++ {
		if text[i] != quote {
			continue
		}
		if i+1 < len(text) && text[i+1] == quote {
			doubled = true
			i++
			continue
		}
		value = text[begin:i]
		if doubled {
			value = strings.ReplaceAll(value, string([]byte{quote, quote}), string(quote))
		}
		return value, i + 1
	}
	return "", -1
}
