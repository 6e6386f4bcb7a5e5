package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"nacre/internal/app"
)

func server() *cobra.Command {
	config := app.Config{Server: true}
	var file string
	c := &cobra.Command{
		Use:   "server",
		Short: "Run one of the servers of a cluster; hosts join with nacre node",
		Long: `Run a server of a cluster: all APIs and the dashboard, and no host of its own.
Start as many as you like on one PostgreSQL database; each can answer everything,
and when one dies the others go on with its work. It always listens with TLS.

  nacre server --db postgres://nacre@db/nacre --blobs /srv/nacre/blobs \
      --listen 10.0.0.1:5000 --ovn-north tcp:10.0.0.9:6641 --ovn-south tcp:10.0.0.9:6642

All servers of a cloud share three things:
  --db        the database, which has everything that is not bytes
  --blobs     the folder with the bytes of images and objects, on a file system
              that all of them mount; a server that sees another folder refuses
  --key-file  the keys that seal the cloud's secrets in the database: the first
              server makes the file, copy it to the others

The data folder holds nothing that another server would miss: the server's id, and
clouds.yaml, openrc and ca.pem for you. Hosts join with a token:

  nacre admin token --data-dir DIR`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			loaded, err := settings(c, config, file)
			if err != nil {
				return err
			}
			return app.Run(c.Context(), loaded)
		},
	}
	common(c, &config, &file, "/var/lib/nacre")
	c.Flags().StringVar(&config.Advertise, "advertise", "", "what nodes and other servers reach this server by, https://HOST:PORT (default: from --listen)")
	c.Flags().StringVar(&config.KeyFile, "key-file", "", "keys that seal the cloud's secrets; the same on all servers (default: credential-keys in the data folder)")
	c.Flags().StringVar(&config.Blobs, "blobs", "", "folder with the bytes of images and objects, shared by all servers (default: blobs in the data folder)")
	c.Flags().StringVar(&config.OVNNorth, "ovn-north", "", "OVN's northbound database: unix:PATH or tcp:HOST:PORT")
	c.Flags().StringVar(&config.OVNSouth, "ovn-south", "", "OVN's southbound database, as nodes reach it")
	c.Flags().StringVar(&config.OVNGateways, "ovn-gateways", "", "hosts that carry traffic to external networks, with commas between them")
	c.Flags().StringVar(&config.SimFabric, "sim-fabric", "", "where nacre sim-fabric listens: the network of simulated nodes")
	return c
}

func nodeCommand() *cobra.Command {
	var config app.NodeConfig
	c := &cobra.Command{
		Use:   "node [--join TOKEN] https://SERVER:PORT...",
		Short: "Make this machine a host of a cluster (as root)",
		Long: `Run guests on this machine for the servers at the addresses. Name one server or
several; the node learns of the others from them, and goes to another one when its
own dies. Guests keep running whoever is away.

The first start needs a join token, which says which cloud it is for and is good
for one host:

  nacre admin token                                      (on a server)
  nacre node --join nacre1.… https://10.0.0.1:5000       (here, as root)

The node makes a key that never leaves the machine and gets a certificate for it,
which it renews by itself. Later starts need no token. "nacre admin node revoke
NAME" ends the certificate; the node is cut off at once.

With --simulated N the process imagines N hosts called NAME-1 and so on, without
root, for tests and measurements. They need "nacre sim-fabric". With --scenario, a
file says what happens to them, as for nacre dev; its hosts are called NAME-1 and so
on, and it cannot have a speed, since the clock is the servers'.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			config.Servers = args
			return app.RunNode(c.Context(), config)
		},
	}
	f := c.Flags()
	f.StringVar(&config.Join, "join", "", "join token, for the first start")
	f.StringVar(&config.DataDir, "data-dir", "/var/lib/nacre", "folder with everything that must survive")
	f.StringVar(&config.Name, "name", "", "name of the host (default: the machine's)")
	f.StringVar(&config.Address, "tunnel-address", "", "this host's end of the tunnels between hosts, with prefix length if there is a tunnel device (default 127.0.0.1, enough for one host)")
	f.StringVar(&config.TunnelDevice, "tunnel-device", "", "network card for tunnels alone, taken into a bridge that gets the tunnel address; for hosts whose kernel lacks the openvswitch module")
	f.StringVar(&config.External, "external-address", "", "address with prefix length on the external network, for a host that carries traffic there")
	f.StringVar(&config.PhysicalNetworks, "physical-networks", "", "further networks for provider networks that this host is on: NAME:CARD, with commas")
	f.StringVar(&config.CPUDedicatedSet, "cpu-dedicated-set", "", "processors of this host that one guest each has alone: 4-7,12-15")
	f.StringVar(&config.CPUSharedSet, "cpu-shared-set", "", "processors that the other guests float over (default: all, or none beside --cpu-dedicated-set)")
	f.StringVar(&config.ReservedHugePages, "reserved-huge-pages", "", "huge pages that are not for guests: node:0,size:2048,count:64; with semicolons between several")
	f.StringVar(&config.GuestUser, "guest-user", "nacre-guest", "account that guests run as, made when it is missing")
	f.IntVar(&config.UnusedImageAge, "unused-image-age", 86400, "seconds for which images stay that no disk here is based on; -1 is for ever")
	f.StringVar(&config.LogLevel, "log-level", "", "debug, info, warn or error (default info)")
	f.IntVar(&config.Simulated, "simulated", 0, "imagine this many hosts instead")
	f.StringVar(&config.Scenario, "scenario", "", "YAML file with what happens to the simulated hosts")
	f.StringVar(&config.SimFabric, "sim-fabric", "", "where nacre sim-fabric listens, for simulated hosts")
	return c
}

func ovnCentral() *cobra.Command {
	var dataDir, listen string
	c := &cobra.Command{
		Use:   "ovn-central",
		Short: "Run the central part of a cluster's network (OVN) on this machine",
		Long: `Run OVN's databases and its central daemon on this machine, for servers
(--ovn-north) and hosts (--ovn-south) that are elsewhere. It prints both addresses.
The daemons go on when this process ends; started again it looks after them. "nacre
down --all --data-dir DIR" ends them and deletes the databases.

  nacre ovn-central --listen 10.0.0.9

The databases take whoever reaches them: listen only on a network of servers and
hosts alone. Without --listen they have unix sockets, for one machine.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return app.RunCentral(c.Context(), dataDir, listen, c.OutOrStdout())
		},
	}
	c.Flags().StringVar(&dataDir, "data-dir", "/var/lib/nacre-ovn", "folder of the databases, of no other nacre")
	c.Flags().StringVar(&listen, "listen", "", "address that servers and hosts reach it at; ports 6641 and 6642 (default: unix sockets)")
	return c
}

func simFabric() *cobra.Command {
	var listen string
	c := &cobra.Command{
		Use:    "sim-fabric",
		Short:  "Serve the network of simulated nodes that run in processes of their own",
		Args:   cobra.NoArgs,
		Hidden: true,
		RunE:   func(c *cobra.Command, _ []string) error { return app.RunSimFabric(c.Context(), listen) },
	}
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:5090", "HOST:PORT, or unix:PATH; only for processes of this machine")
	return c
}

func admin() *cobra.Command {
	var dataDir string
	c := &cobra.Command{
		Use:   "admin",
		Short: "What operators do: let hosts join and revoke them; rotate keys; back up, restore and move the cloud",
		Long: `The commands about hosts, servers and keys ask the running cloud whose clouds.yaml is in
the data folder, as its administrator. Those about backups work on its database and
its files themselves.`,
	}
	c.PersistentFlags().StringVar(&dataDir, "data-dir", "/var/lib/nacre", "data folder of a server of the cloud")
	node := &cobra.Command{Use: "node", Short: "List the hosts of the cloud, and cut them off"}
	node.AddCommand(adminNodes(&dataDir), adminRevoke(&dataDir))
	keys := &cobra.Command{Use: "keys", Short: "List the keys of tokens, and rotate them ahead of time"}
	keys.AddCommand(adminKeys(&dataDir), adminRotateKeys(&dataDir))
	c.AddCommand(adminToken(&dataDir), adminServers(&dataDir), node, keys, adminBackup(&dataDir), adminRestore(&dataDir), adminMove(&dataDir))
	return c
}

func adminToken(dataDir *string) *cobra.Command {
	var request struct {
		Host    string `json:"host"`
		Uses    int    `json:"uses"`
		Seconds int64  `json:"seconds"`
	}
	var life time.Duration
	c := &cobra.Command{
		Use:   "token",
		Short: "Print a token that a host joins with",
		Long: `Print a join token for "nacre node --join TOKEN https://SERVER:PORT". It carries
the fingerprint of the cloud's certificate authority, so that the node knows the
servers, and a secret, of which the cloud keeps only a hash: it is shown this once.

Without --host it admits a host whose name is not taken. To put a reinstalled
machine in the place of a host that is there, name it with --host.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			request.Seconds = int64(life.Seconds())
			var reply struct{ Token string }
			err := app.AskOwn(c.Context(), *dataDir, "POST", "/nacre/v1/join-tokens", request, &reply)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), reply.Token)
			return err
		},
	}
	c.Flags().StringVar(&request.Host, "host", "", "the one name that it admits, also when it is taken")
	c.Flags().IntVar(&request.Uses, "uses", 1, "how many hosts may join with it")
	c.Flags().DurationVar(&life, "life", time.Hour, "how long it is good for")
	return c
}

func adminServers(dataDir *string) *cobra.Command {
	return &cobra.Command{
		Use:   "servers",
		Short: "List the servers of the cloud",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return printTable(c, *dataDir, "/nacre/v1/servers", "servers", "id", "url", "alive", "seen_at")
		},
	}
}

func adminNodes(dataDir *string) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the hosts, which server holds each one's connection, and their certificates",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return printTable(c, *dataDir, "/nacre/v1/nodes", "nodes", "name", "up", "server", "seen_at", "certificate", "certificate_until")
		},
	}
}

func adminRevoke(dataDir *string) *cobra.Command {
	return &cobra.Command{
		Use:   "revoke NAME",
		Short: "End the certificate of a host: it is cut off at once and refused from now on",
		Long: `End the certificate of a host: its connection is cut at once on whichever server
holds it, and it is refused from now on. Its guests keep running, out of reach. A
token of "nacre admin token --host NAME" lets it, or another machine in its place,
join again.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			err := app.AskOwn(c.Context(), *dataDir, "POST", "/nacre/v1/nodes/"+url.PathEscape(args[0])+"/revoke", nil, nil)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "the certificates of %s are revoked\n", args[0])
			return err
		},
	}
}

func adminKeys(dataDir *string) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the keys of tokens: which make them, which still open them, which come next",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return printTable(c, *dataDir, "/nacre/v1/token-keys", "token_keys", "kind", "number", "state", "created_at", "retired_at")
		},
	}
}

func adminRotateKeys(dataDir *string) *cobra.Command {
	return &cobra.Command{
		Use:   "rotate",
		Short: "Make new tokens with the next keys, on all servers",
		Long: `Make new tokens with the next keys, of both kinds, on all servers at once. The cloud
does that once a day by itself. Nobody is logged out: the former keys open what they
have made until it has expired.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			err := app.AskOwn(c.Context(), *dataDir, "POST", "/nacre/v1/token-keys/rotate", nil, nil)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), "tokens are made with new keys")
			return err
		},
	}
}

// printTable prints the columns of a list that the cloud answers with.
func printTable(c *cobra.Command, dataDir, path, key string, columns ...string) error {
	var reply map[string][]map[string]json.RawMessage
	err := app.AskOwn(c.Context(), dataDir, "GET", path, nil, &reply)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(c.OutOrStdout(), 2, 8, 2, ' ', 0)
	for _, column := range columns {
		fmt.Fprintf(w, "%s\t", column)
	}
	fmt.Fprintln(w)
	for _, row := range reply[key] {
		for _, column := range columns {
			var value any
			err = json.Unmarshal(row[column], &value)
			if err != nil {
				return err
			}
			if value == nil {
				value = "-"
			}
			fmt.Fprintf(w, "%v\t", value)
		}
		fmt.Fprintln(w)
	}
	return w.Flush()
}
