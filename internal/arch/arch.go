// Package arch holds the tests on the tree itself: which way imports point,
// how large files are, that each package explains itself. A rule that nothing
// checks is a wish.
package arch
