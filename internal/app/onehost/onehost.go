// Package onehost holds the tests of the cloud on one machine: the whole of
// nacre up, with real guests and real packets, in namespaces of its own. Only
// make demo touches the machine's own network.
package onehost
