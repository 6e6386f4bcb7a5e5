// Package fulldisk holds the tests of what happens when a disk is full: whatever
// was answered is there and whole, whatever was refused is not, the refusal says
// why, and with space again everything goes on.
package fulldisk
