// Package deb makes the Debian package: build.sh puts it together from files/,
// and the tests here install it, start what its units start, and replace it by
// another version and back while a guest runs.
package deb
