// Package soak holds the machine that kills the cloud: its processes end with
// -9, freeze and go on, and lose the links between them, while users work.
//
// Users write down what was acknowledged, and every answer about things that
// several of them change at once. When the faults are over, nothing may be under
// way for longer than its deadline, nothing acknowledged may be lost, nothing
// may be left over on hosts, in the network or in the books, and the answers must
// have one order in which they make sense, whichever server gave them.
//
// A run's choices follow from its seed, which is printed: NACRE_TEST_SEED
// repeats them. NACRE_SOAK_MINUTES makes a run longer; make soak does.
package soak
