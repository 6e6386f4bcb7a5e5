// Package boolean reads the words that OpenStack takes for true and false, in queries,
// headers, properties and files, in any case (oslo.utils' bool_from_string).
package boolean

import "strings"

// Parse tells what a word means, and whether it means anything.
func Parse(text string) (value, ok bool) {
	switch strings.ToLower(text) {
	case "1", "t", "true", "on", "y", "yes":
		return true, true
	case "0", "f", "false", "off", "n", "no":
		return false, true
	}
	return false, false
}

// Is tells whether a word means true.
func Is(text string) bool {
	value, _ := Parse(text)
	return value
}
