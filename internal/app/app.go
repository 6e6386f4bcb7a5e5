// Package app assembles the cloud.
//
// Start builds every part from the bottom to the top and hands each what it
// needs by name: whoever reads it once knows the whole system. Nothing else in
// the house knows more than its own part.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"nacre/internal/api"
	"nacre/internal/atomicfile"
	"nacre/internal/auth"
	"nacre/internal/bus"
	"nacre/internal/clock"
	"nacre/internal/cluster"
	"nacre/internal/compute"
	computeapi "nacre/internal/compute/api"
	"nacre/internal/configdrive"
	"nacre/internal/console"
	"nacre/internal/db"
	"nacre/internal/hosts"
	"nacre/internal/identity"
	identityapi "nacre/internal/identity/api"
	"nacre/internal/identity/oidc"
	"nacre/internal/identity/saml"
	imageapi "nacre/internal/image/api"
	"nacre/internal/lock"
	"nacre/internal/loop"
	"nacre/internal/network"
	networkapi "nacre/internal/network/api"
	"nacre/internal/object"
	objectapi "nacre/internal/object/api"
	"nacre/internal/object/s3"
	"nacre/internal/placement"
	placementapi "nacre/internal/placement/api"
	"nacre/internal/volume"
	volumeapi "nacre/internal/volume/api"
	"nacre/internal/work"
)

// Version is set when the binary is built.
var Version = "development"

// Cloud is a running cloud.
type Cloud struct {
	Config  Config
	Handler http.Handler // all that the main listener serves
	S3      *api.Kernel  // all that the one beside it serves
	Secrets Secrets

	Kernel  *api.Kernel
	DB      *db.DB
	Engine  *work.Engine
	Loops   *loop.Runner
	Cluster *cluster.Cluster
	Bus     bus.Bus
	Hosts   *hosts.Service
	Compute *compute.Service
	Network *network.Service

	Simulated Simulated // what it stands on, when that is imagined

	play *play // the scenario of its simulated hosts; nil for none

	identity   *identity.Service
	policy     *policyFile
	sealer     *auth.Sealer                // of secrets in the database
	background []func(ctx context.Context) // run until the context ends
	closers    []func() error              // from the last to the first, when everything has ended
}

// Run runs a cloud until the context ends. It is ready once /healthz answers. A
// database server that is away is waited for.
func Run(ctx context.Context, c Config) error {
	haveThreads()
	cloud, err := Start(ctx, c)
	for db.IsPostgres(c.DB) && db.IsAway(err) {
		slog.Warn("the database does not answer: trying again", "error", err)
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Second):
		}
		cloud, err = Start(ctx, c)
	}
	if err != nil {
		return err
	}
	defer cloud.Close()
	return cloud.serve(ctx)
}

// Start assembles a cloud on its data folder. Serve runs it, Close ends it.
func Start(ctx context.Context, c Config) (cloud *Cloud, err error) {
	c, err = c.complete()
	if err != nil {
		return nil, err
	}
	cloud = &Cloud{Config: c}
	defer func() {
		if err != nil {
			err = errors.Join(err, cloud.Close())
		}
	}()
	err = cloud.lock()
	if err == nil {
		err = cloud.openScenario()
	}
	if err != nil {
		return cloud, err
	}
	return cloud, cloud.assemble(ctx)
}

func (cloud *Cloud) assemble(ctx context.Context) error {
	c, now, log := cloud.Config, cloud.Config.Clock, cloud.Config.Log

	// State and time.
	database, err := db.Open(ctx, c.DB)
	if err != nil {
		return err
	}
	database.UseClock(now)
	cloud.DB = database
	cloud.closers = append(cloud.closers, database.Close)
	owner, err := ownerID(c.DataDir)
	if err != nil {
		return err
	}
	cloud.sealer, err = cloud.openSealer(ctx)
	if err != nil {
		return err
	}
	cloud.Cluster, err = cloud.joinCluster(ctx, owner)
	if err != nil {
		return err
	}
	cloud.Engine = work.New(work.Options{DB: database, Clock: now, Log: log, Owner: owner})
	cloud.Loops = loop.New(loop.Options{Clock: now, Log: log, Leases: cloud.Cluster})
	err = cloud.connect(ctx)
	if err != nil {
		return err
	}
	blobs, err := cloud.openBlobs(ctx)
	if err != nil {
		return err
	}
	cloud.Hosts, err = hosts.New(ctx, hosts.Options{DB: database, Clock: now, Log: log, Server: owner, Bus: cloud.Bus, Peers: cloud.Cluster})
	if err != nil {
		return err
	}

	// The services, each on those above it.
	clients, err := c.OAuth2.settings()
	if err != nil {
		return err
	}
	identities, err := identity.New(ctx, identity.Options{
		DB: database, Sealer: cloud.sealer, KeyFolder: filepath.Join(c.DataDir, "fernet-keys"), Clock: now, Log: log,
		TokenProvider: auth.Provider(c.TokenProvider), LimitModel: identity.LimitModel(c.LimitModel), Compliance: c.Passwords.compliance(), OptOut: c.optOut(), OAuth2: clients,
	})
	if err != nil {
		return err
	}
	cloud.identity = identities
	cloud.closers = append(cloud.closers, func() error { identities.Close(); return nil })
	images, err := cloud.openImages(blobs)
	if err != nil {
		return err
	}
	objects := object.New(object.Options{DB: database, Blobs: blobs, Clock: now, Log: log})
	placements, err := placement.New(ctx, placement.Options{
		DB: database, Clock: now, Log: log, Nudge: cloud.Loops.Nudge, MaxCandidates: c.MaxAllocationCandidates,
	})
	if err != nil {
		return err
	}
	ground, err := cloud.ground(ctx, images, blobs)
	if err != nil {
		return err
	}
	wires, err := physicalNetworks(c.PhysicalNetworks)
	if err != nil {
		return err
	}
	cloud.Network = network.New(network.Options{DB: database, Clock: now, Log: log, Fabric: ground.fabric, DNS: ground.dns, Nudge: cloud.Loops.Nudge,
		Hosts: networkHosts(cloud.Hosts), Physical: wires.names()})
	converter, scratch, err := diskConverter(c)
	if err != nil {
		return err
	}
	volumes := volume.New(volume.Options{DB: database, Clock: now, Log: log, Engine: cloud.Engine, Hosts: cloud.Hosts, Images: volumeImages{images},
		Servers: volumeServers{cloud}, Vault: volumeVault{objects}, Sealer: cloud.sealer, Server: owner, Level: c.level,
		Converter: converter, WorkDir: scratch})
	consoles := console.NewConsoles(console.ConsolesOptions{
		DB: database, Public: c.PublicURL, Clock: now, Log: log,
		Dial: func(ctx context.Context, kind, server string) (io.ReadWriteCloser, error) {
			return cloud.Compute.OpenConsole(ctx, kind, server) // compute stands on consoles, and comes below
		},
	})
	cloud.closers = append(cloud.closers, func() error { consoles.Close(); return nil })
	weighers, err := c.weighers()
	if err != nil {
		return err
	}
	vendor, err := c.VendorData.source(log, identities, now)
	if err != nil {
		return err
	}
	cloud.Compute, err = compute.New(ctx, compute.Options{
		DB: database, Clock: now, Log: log, Engine: cloud.Engine, Hosts: cloud.Hosts, Nudge: cloud.Loops.Nudge,
		Placement: placements, Images: computeImages{images}, Networks: computeNetworks{cloud.Network},
		Proxy: networkProxy{cloud.Network}, ImageProxy: computeImages{images}, VolumeProxy: volumeProxy{computeVolumes{volumes, cloud}},
		Volumes: computeVolumes{volumes, cloud}, Consoles: consoles, ConfigDrive: configdrive.Build, VendorData: vendor,
		ConfirmAfter: time.Duration(c.ResizeConfirmWindow) * time.Second,
		ShelvedFor:   time.Duration(c.ShelvedOffloadTime) * time.Second,
		ReclaimAfter: time.Duration(c.ReclaimInstanceInterval) * time.Second,
		Weighers:     weighers, Rules: c.HostRules.rules(),
	})
	if err != nil {
		return err
	}
	for _, loops := range [][]loop.Loop{
		identities.Loops(), images.Loops(), objects.Loops(), placements.Loops(), cloud.Network.Loops(), volumes.Loops(), cloud.Compute.Loops(), consoles.Loops(),
		cloud.housekeeping(),
	} {
		cloud.Loops.Add(loops...)
	}

	// What the outside sees.
	parties, err := oidc.Open(c.Federation.OpenID, now.Now)
	if err != nil {
		return err
	}
	assertors, err := saml.Open(c.Federation.SAML)
	if err != nil {
		return err
	}
	federation := identityapi.Federation{OpenID: parties, SAML: assertors, Dashboards: c.Federation.TrustedDashboards}
	cloud.policy, err = loadPolicy(c.PolicyFile, log)
	if err != nil {
		return err
	}
	cloud.Loops.Add(cloud.policy.loops()...)
	policy := cloud.policy.policy
	protection, err := loadProtection(c)
	if err != nil {
		return err
	}
	cloud.Kernel = api.New(api.Options{Tokens: identities, Policy: policy, Clock: now, Log: log, PublicURL: c.PublicURL})
	cloud.S3 = api.New(api.Options{Tokens: identities, Policy: policy, Clock: now, Log: log})
	cloud.S3.Add(s3.New(objects, s3Keys(identities)))
	for _, s := range []api.Service{
		identityapi.Discovery(), identityapi.New(identities, federation), identityapi.OpenID(identities, federation), imageapi.New(images, protection), placementapi.New(placements),
		computeapi.Discovery(), computeapi.New(cloud.Compute),
		networkapi.New(cloud.Network), volumeapi.Discovery(), volumeapi.New(volumes), objectapi.New(objects, objectSignIn(identities)), cloud.own(identityapi.SignInRoutes(identities, federation)),
	} {
		cloud.Kernel.Add(s)
	}
	dashboard := console.New(console.Options{API: cloud.Kernel, DB: database, ClientSecret: identities.OwnSecret(), Secure: c.tls(), Clock: now, Log: log})
	cloud.Loops.Add(dashboard.Loops()...)
	cloud.Handler = cloud.handler(dashboard, consoles)
	cloud.serveImages(images)

	// Servers that start on one fresh database at once must not fill it twice.
	err = database.Exclusive(ctx, "fill", func(ctx context.Context) error { return cloud.fill(ctx, identities, images, volumes) })
	if err != nil {
		return err
	}
	err = cloud.Cluster.Lease(ctx, cloud.Loops.Leased(), cloud.Loops.Nudge)
	if err != nil {
		return err
	}
	cloud.background = append(cloud.background, cloud.Cluster.Run,
		func(ctx context.Context) { cloud.report("hosts", cloud.Hosts.Run(ctx)) },
		cloud.Loops.Run, cloud.Network.Run)
	cloud.background = append(cloud.background, ground.run...)
	return nil
}

// report logs why something that runs as long as the cloud has ended early.
func (cloud *Cloud) report(what string, err error) { report(cloud.Config.Log, what, err) }

func report(log *slog.Logger, what string, err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		log.Error("ended", "what", what, "error", err)
	}
}

// Background runs plans, loops and nodes until the context ends. It returns
// when all of them have.
func (cloud *Cloud) Background(ctx context.Context) {
	var running sync.WaitGroup
	running.Go(func() { cloud.carryBallast(ctx) })
	running.Go(func() { cloud.report("plans", cloud.Engine.Run(ctx)) })
	running.Go(func() { cloud.Surroundings(ctx) })
	running.Wait()
}

// Surroundings is Background without the plans, for a test that turns them.
func (cloud *Cloud) Surroundings(ctx context.Context) {
	var running sync.WaitGroup
	for _, run := range cloud.background {
		running.Go(func() { run(ctx) })
	}
	running.Wait()
}

// serve runs everything until the context ends.
func (cloud *Cloud) serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c := cloud.Config
	listener, err := cloud.listen(c.Listen)
	if err != nil {
		return err
	}
	s3Listener, err := cloud.listen(c.s3Listen())
	if err != nil {
		listener.Close()
		return err
	}
	server, s3Server := server(ctx, cloud.Handler), server(ctx, cloud.S3)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		cloud.Background(ctx)
	}()
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		last, done := context.WithTimeout(context.Background(), 5*time.Second)
		defer done()
		stopped <- errors.Join(server.Shutdown(last), s3Server.Shutdown(last), server.Close(), s3Server.Close())
	}()
	cloud.Config.Log.Info("ready", "url", cloud.Config.PublicURL, "clouds_yaml", filepath.Join(cloud.Config.DataDir, "clouds.yaml"))
	notifyReady(cloud.Config.Log)
	served := make(chan error, 2)
	go func() { served <- server.Serve(listener) }()
	go func() { served <- s3Server.Serve(s3Listener) }()
	err = <-served
	cancel() // neither goes without the other
	err = errors.Join(closed(err), closed(<-served))
	<-ended
	stopErr := <-stopped
	if errors.Is(stopErr, context.DeadlineExceeded) {
		stopErr = nil // a client held its connection; Close has cut it
	}
	return errors.Join(err, stopErr)
}

// closed leaves out that a server was closed, which is how it ends.
func closed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Close closes what Start has opened.
func (cloud *Cloud) Close() error {
	var err error
	for i := len(cloud.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, cloud.closers[i]())
	}
	cloud.closers = nil
	return err
}

// lock makes sure that the data folder has one cloud at a time.
func (cloud *Cloud) lock() error {
	release, err := lockFolder(cloud.Config.DataDir)
	if err != nil {
		return err
	}
	cloud.closers = append(cloud.closers, release)
	return nil
}

// lockFolder makes a data folder this process's alone.
func lockFolder(dir string) (release func() error, err error) {
	err = os.MkdirAll(dir, 0o755)
	if err != nil {
		return nil, fmt.Errorf("make data folder: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock data folder: %w", err)
	}
	err = lock.Try(f)
	if errors.Is(err, lock.ErrHeld) {
		f.Close()
		return nil, fmt.Errorf("another nacre runs on %s: stop it with nacre down --data-dir %s", dir, dir)
	}
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = fmt.Fprintln(f, os.Getpid())
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock data folder: %w", err)
	}
	return f.Close, nil
}

// ownerID names this cloud's process in leases. It stays the same over
// restarts, so that a process frees its own earlier leases at once.
func ownerID(dir string) (string, error) {
	path := filepath.Join(dir, "owner")
	content, err := os.ReadFile(path)
	if err == nil {
		return string(content), nil
	}
	if !os.IsNotExist(err) {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	id := clock.UUID()
	return id, atomicfile.Write(path, []byte(id), 0o600)
}
