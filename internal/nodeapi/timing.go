package nodeapi

import "time"

// Timing of liveness, on both ends: a node leaves a server that stands still before
// the other servers hold its host down.
const (
	Pulse        = 2 * time.Second  // how often a node says something
	ServerSilent = 6 * time.Second  // how long a server may say nothing; a node looks every Pulse
	Look         = 2 * time.Second  // how often a server writes which hosts it hears
	HostSilent   = 10 * time.Second // how long a host may say nothing, by what is written
)

// _ does not compile when a node would leave too late.
const _ = uint(HostSilent - Look - ServerSilent - Pulse)
