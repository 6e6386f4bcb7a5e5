// Command nacre is a cloud in one binary. It reads flags and starts what they
// ask for; everything else is in internal/app.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"nacre/internal/app"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := root().ExecuteContext(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "nacre:", err)
		os.Exit(1)
	}
}

func root() *cobra.Command {
	c := &cobra.Command{
		Use:   "nacre",
		Short: "A complete cloud that speaks OpenStack, in one binary",
		Long: `Nacre is a cloud: identity, image, placement, compute, network, volume and
object storage behind the OpenStack APIs, with a dashboard.

Try it without root, on simulated hosts:

  nacre dev --data-dir /tmp/cloud
  export OS_CLIENT_CONFIG_FILE=/tmp/cloud/clouds.yaml OS_CLOUD=nacre-demo
  openstack server create --flavor m1.tiny --image cirros --network private web

Real guests on this machine, as root:

  nacre up --detach
  nacre down

A cluster, servers and hosts apart ("nacre server --help" begins it):

  nacre server --db postgres://… --ovn-north … --ovn-south …
  nacre node --join TOKEN https://SERVER:5000`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	c.AddCommand(dev(), up(), server(), nodeCommand(), ovnCentral(), admin(), down(), describe(), version(), simFabric())
	return c
}

// common are the flags of every command that runs or asks a cloud.
func common(c *cobra.Command, config *app.Config, file *string, dataDir string) {
	c.Flags().StringVar(&config.Listen, "listen", "127.0.0.1:5000", "address of the main listener")
	c.Flags().StringVar(&config.DataDir, "data-dir", dataDir, "folder with everything that must survive")
	c.Flags().StringVar(&config.DB, "db", "", "database: postgres://USER@HOST/NAME, or an SQLite file (default: in the data folder)")
	c.Flags().StringVar(&config.PublicURL, "public-url", "", "what clients reach the cloud by (default: from --listen)")
	c.Flags().StringVar(&config.PolicyFile, "policy-file", "", "oslo.policy file that overrides rules")
	c.Flags().StringVar(&config.LogLevel, "log-level", "", "debug, info, warn or error (default info)")
	c.Flags().StringVar(file, "config", "", "YAML file with settings; flags win over NACRE_* variables, these over the file")
}

// settings puts flags over environment over file.
func settings(c *cobra.Command, flags app.Config, file string) (app.Config, error) {
	loaded, err := app.Load(flags, file)
	if err != nil {
		return app.Config{}, err
	}
	keep := map[string]func(){
		"listen":      func() { loaded.Listen = flags.Listen },
		"data-dir":    func() { loaded.DataDir = flags.DataDir },
		"db":          func() { loaded.DB = flags.DB },
		"public-url":  func() { loaded.PublicURL = flags.PublicURL },
		"policy-file": func() { loaded.PolicyFile = flags.PolicyFile },
		"log-level":   func() { loaded.LogLevel = flags.LogLevel },
		"hosts":       func() { loaded.Hosts = flags.Hosts },
		"scenario":    func() { loaded.Scenario = flags.Scenario },

		"advertise":    func() { loaded.Advertise = flags.Advertise },
		"key-file":     func() { loaded.KeyFile = flags.KeyFile },
		"blobs":        func() { loaded.Blobs = flags.Blobs },
		"ovn-north":    func() { loaded.OVNNorth = flags.OVNNorth },
		"ovn-south":    func() { loaded.OVNSouth = flags.OVNSouth },
		"ovn-gateways": func() { loaded.OVNGateways = flags.OVNGateways },
		"sim-fabric":   func() { loaded.SimFabric = flags.SimFabric },
	}
	for name, set := range keep {
		if c.Flags().Changed(name) {
			set()
		}
	}
	return loaded, nil
}

func dev() *cobra.Command {
	var config app.Config
	var file string
	c := &cobra.Command{
		Use:   "dev",
		Short: "Run a cloud on simulated hosts, without root",
		Long: `Run a cloud whose hosts and network are simulated: all APIs and the dashboard
are real, guests are not. It is ready when GET /healthz answers 200, and writes
clouds.yaml and openrc into the data folder. Started again on the same folder it
goes on where it was.

With --scenario, a file says what the hosts have, how slow they are, what fails by
chance, and when hosts die, are cut off or run full: examples/scenario.yaml.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			loaded, err := settings(c, config, file)
			if err != nil {
				return err
			}
			return app.Run(c.Context(), loaded)
		},
	}
	common(c, &config, &file, ".nacre/dev")
	c.Flags().IntVar(&config.Hosts, "hosts", 2, "how many hosts to simulate, unless a scenario says it")
	c.Flags().StringVar(&config.Scenario, "scenario", "", "YAML file with what happens to the hosts")
	return c
}

func up() *cobra.Command {
	config := app.Config{Real: true}
	var file string
	var detach bool
	c := &cobra.Command{
		Use:   "up",
		Short: "Run a cloud with real guests on this machine (as root)",
		Long: `Run a cloud on this machine: QEMU guests, OVN networks, volumes on disk. Guests
outlive this process: stop it and start it again as you like, they keep running.
"nacre down --all" ends them and leaves nothing behind.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			loaded, err := settings(c, config, file)
			if err != nil {
				return err
			}
			if detach {
				return app.Detach(c.Context(), loaded, os.Args)
			}
			return app.Run(c.Context(), loaded)
		},
	}
	common(c, &config, &file, "/var/lib/nacre")
	c.Flags().BoolVar(&detach, "detach", false, "start in the background and return when the cloud is ready")
	return c
}

func down() *cobra.Command {
	config := app.Config{Real: true}
	var all, yes bool
	c := &cobra.Command{
		Use:   "down",
		Short: "Stop the cloud of a data folder; guests keep running unless --all",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return app.Down(c.Context(), config, app.DownOptions{All: all, Yes: yes, In: os.Stdin, Out: os.Stdout})
		},
	}
	c.Flags().StringVar(&config.DataDir, "data-dir", "/var/lib/nacre", "the cloud's data folder")
	c.Flags().BoolVar(&all, "all", false, "end guests, networks and volumes too, and delete the data folder")
	c.Flags().BoolVar(&yes, "yes", false, "do not ask before deleting")
	return c
}

func version() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(c.OutOrStdout(), "nacre", app.Version)
			return err
		},
	}
}
