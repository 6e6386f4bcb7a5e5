// Package threehosts holds the tests of a cluster of real hosts: two servers on
// one PostgreSQL, and three hosts, each a network namespace with its own switch,
// its own end of the tunnels and its own guests. All of them are processes of
// their own, which the tests kill.
package threehosts
