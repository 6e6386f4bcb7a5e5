// Command demo tells the story of a first day: it waits for the cloud, makes a
// key, opens ssh in the default security group, boots a server with a volume,
// gives it a floating IP, signs in by ssh, and says how to go on. It is a client
// like any other, speaks the public API, and finds what an earlier run has made.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	dataDir := flag.String("data-dir", "/var/lib/nacre", "data folder of the cloud")
	name := flag.String("name", "demo", "name of the server to make")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	err := run(ctx, *dataDir, *name)
	if err != nil {
		fmt.Fprintf(os.Stderr, "\nThe demo stopped: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, dataDir, name string) error {
	began := time.Now()
	s, err := open(ctx, dataDir)
	if err != nil {
		return err
	}
	var server, volume, address string
	for _, step := range []struct {
		say string
		do  func() error
	}{
		{"wait for the image cirros (built from Debian packages the first time)", func() error { return s.waitImage(ctx) }},
		{"make a key pair", func() error { return s.ensureKey(ctx) }},
		{"allow ssh and ping in the security group default", func() error { return s.ensureRules(ctx) }},
		{"boot the server " + name + " on the network private", func() (err error) { server, err = s.ensureServer(ctx, name); return err }},
		{"attach a volume of 1 GiB", func() (err error) { volume, err = s.ensureVolume(ctx, name, server); return err }},
		{"give it a floating IP", func() (err error) { address, err = s.ensureAddress(ctx, server); return err }},
		{"sign in by ssh and mount the volume", func() error { return s.signIn(ctx, address, volume) }},
	} {
		started := time.Now()
		fmt.Printf("%-75s ", step.say)
		err := step.do()
		if err != nil {
			fmt.Println("failed")
			return fmt.Errorf("%s: %w", step.say, err)
		}
		fmt.Printf("%5.1f s\n", time.Since(started).Seconds())
	}
	fmt.Printf("\nAll in %.0f s. ", time.Since(began).Seconds())
	s.farewell(dataDir, address)
	return nil
}
