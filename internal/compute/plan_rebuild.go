package compute

import (
	"context"
	"fmt"

	"nacre/internal/auth"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/work"
)

// Rebuild says what a server is to begin anew with. Nil keeps.
type Rebuild struct {
	Image    string
	OfVolume bool // a root disk that is a volume gets the bytes, too
	ZeroDisk bool // as of NewServer
	ServerUpdate
	Metadata  map[string]string
	KeyName   **string
	UserData  *string
	AdminPass string // as of NewServer
	Files     []File // instead of those that it had

	Certificates *[]string
}

type rebuildState struct {
	Server string
	Change *imageChange // nil when it keeps its image
}

// imageChange is another image for a server.
type imageChange struct {
	To         string            // its id, also where the bytes of a volume change
	Before     string            // the server's
	Properties map[string]string // of the image before
	Buses      Buses             // of the disks before
	RootDevice string            // before
	Drive      bool              // whether it had a config drive before
	Begun      bool              // the disk is not the former one any more
}

// RebuildServer begins a server anew from an image: same id, addresses and
// volumes, another root disk.
func (s *Service) RebuildServer(ctx context.Context, act Act, caller auth.Caller, in Rebuild) (Server, error) {
	image, err := s.images.Image(ctx, caller, in.Image)
	if errs.Is(err, errs.NotFound) {
		return Server{}, errs.BadRequestf("Cannot find image for rebuild")
	}
	if err != nil {
		return Server{}, err
	}
	pair := KeyPair{}
	if in.KeyName != nil && *in.KeyName != nil {
		pair, err = s.KeyPair(ctx, caller.User, **in.KeyName)
		if errs.Is(err, errs.NotFound) {
			return Server{}, errs.BadRequestf("Invalid key_name provided.")
		}
		if err != nil {
			return Server{}, err
		}
	}
	if in.Metadata != nil {
		err = s.checkMetadata(ctx, caller, in.Metadata)
		if err != nil {
			return Server{}, err
		}
	}
	err = s.checkFiles(ctx, caller, in.Files)
	if err == nil && in.UserData != nil {
		err = checkUserData(*in.UserData)
	}
	if err != nil {
		return Server{}, err
	}
	if in.AutoDisk != nil {
		_, err = autoDisk(image, in.AutoDisk)
		if err != nil {
			return Server{}, err
		}
	}
	server, err := s.Server(ctx, act.Project, act.Server)
	if err != nil {
		return Server{}, err
	}
	ofVolume := server.Image == "" // which never changes
	if ofVolume && in.Certificates != nil && len(*in.Certificates) > 0 {
		return Server{}, errNoCertificates()
	}
	if ofVolume && server.Host != "" {
		err = s.checkReimage(ctx, caller, server, image, in)
		if err != nil {
			return Server{}, err
		}
	}
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		server, err = getServer(ctx, tx, act.Project, act.Server)
		if err != nil {
			return err
		}
		err = act.allow(server, "rebuild", Active, Stopped, Errored)
		if err != nil {
			return err
		}
		if server.Host == "" {
			return act.allow(server, "rebuild") // in ERROR without a host: it never ran
		}
		if !ofVolume {
			err = checkImage(image, server.Flavor.V, true, in.ZeroDisk)
		}
		if err == nil {
			err = server.sameTopology(image.Properties)
		}
		if err != nil {
			return err
		}
		err = checkHardware(image.Properties, server.Flavor.V)
		if err != nil {
			return err
		}
		state := rebuildState{Server: server.ID}
		if ofVolume || server.Image != image.ID {
			state.Change = &imageChange{To: image.ID, Before: server.Image, Properties: server.ImageProperties.V, Buses: server.Buses.V, RootDevice: server.RootDevice, Drive: server.ConfigDrive}
		}
		in.apply(&server)
		if in.Metadata != nil {
			server.Metadata.V = in.Metadata
		}
		if in.Certificates != nil {
			server.Certificates = db.Of(*in.Certificates)
		}
		server.ImageProperties, server.TaskState = db.Of(words(image.Properties)), Rebuilding
		server.takeDrive()
		err = s.rebuildSecrets(ctx, tx, &server, in, pair)
		if err != nil {
			return err
		}
		if !ofVolume {
			server.Image = image.ID
		}
		volumes, err := attachmentsOf(ctx, tx, server.ID)
		if err == nil {
			err = server.rebus(volumes, image.ISO)
		}
		if err != nil {
			return err
		}
		err = s.save(ctx, tx, &server, "image", "image_properties", "buses", "root_device", "config_drive", "name", "description", "access_ip4", "access_ip6", "hostname", "auto_disk", "metadata", "key_name", "certificates", "task_state")
		if err != nil {
			return err
		}
		if ofVolume {
			return s.startReimage(ctx, tx, act, server, state, caller, in.OfVolume)
		}
		_, err = work.Start(ctx, tx, s.rebuildPlan(), server.ID, state, act.options(server)...)
		return err
	})
	return server, err
}

func (s *Service) rebuildSecrets(ctx context.Context, tx *db.Tx, server *Server, in Rebuild, pair KeyPair) error {
	row, err := secretsOf(ctx, tx, server.ID)
	if err != nil {
		return err
	}
	if in.KeyName != nil {
		server.KeyName, row.PublicKey, row.KeyType = *in.KeyName, pair.PublicKey, pair.Type
	}
	if in.UserData != nil {
		row.UserData = *in.UserData
	}
	row.Files, row.VendorData.V, row.AdminPass = db.Of(in.Files), nil, ""
	if server.ConfigDrive {
		row.AdminPass = in.AdminPass
	}
	_, err = tx.Update(ctx, &row, "user_data", "public_key", "key_type", "files", "vendor_data", "admin_pass")
	if err != nil {
		return fmt.Errorf("write secrets of server %s: %w", server.ID, err)
	}
	return nil
}

// rebuildPlan cannot give back the disk that it throws away: a rebuild that was
// given up leaves the server in ERROR, from which it may be rebuilt again.
func (s *Service) rebuildPlan() work.Plan[rebuildState] {
	return work.Plan[rebuildState]{
		Name: "server.rebuild", Action: "rebuild", Deadline: createDeadline,
		Steps: []work.Step[rebuildState]{
			{Name: "ask for vendor data", Do: s.rebuildAsk, UndoTx: s.rebuildKeep},
			{Name: "want another disk", Tx: s.rebuildWant},
			{Name: "wait", Do: s.rebuildWait},
			{Name: "finish", Tx: s.rebuildFinish},
		},
		Undone: s.rebuildFailed,
	}
}

// rebuildAsk asks whether the host takes another image, and what the config drive is
// to say from now on.
func (s *Service) rebuildAsk(ctx context.Context, state *rebuildState) error {
	if state.Change != nil {
		server, err := s.Server(ctx, "", state.Server)
		if err == nil {
			err = s.takesImage(server, state.Change.To)
		}
		if err != nil {
			return err
		}
	}
	return s.keepVendorData(ctx, state.Server)
}

// rebuildKeep says that the server has the image that it had, as long as the disk is
// that of it.
func (s *Service) rebuildKeep(ctx context.Context, tx *db.Tx, state *rebuildState) error {
	before := state.Change
	if before == nil || before.Begun {
		return nil
	}
	_, err := s.change(ctx, tx, state.Server, func(server *Server) error {
		server.Image, server.ImageProperties = before.Before, db.Of(before.Properties)
		server.Buses, server.RootDevice, server.ConfigDrive = db.Of(before.Buses), before.RootDevice, before.Drive
		return nil
	}, "image", "image_properties", "buses", "root_device", "config_drive")
	return err
}

// begin remembers that the disk is thrown away.
func (state *rebuildState) begin() {
	if state.Change != nil {
		state.Change.Begun = true
	}
}

func (s *Service) rebuildWant(ctx context.Context, tx *db.Tx, state *rebuildState) error {
	state.begin()
	server, err := s.change(ctx, tx, state.Server, func(server *Server) error {
		server.TaskState = Rebuilding
		return nil
	}, "task_state")
	if err != nil {
		return err
	}
	err = s.tell(ctx, tx, "rebuild.start", server)
	if err != nil {
		return err
	}
	server.TaskState = RebuildSpawning
	server.Rebuilds++
	server.Running, server.Rest, server.Rescue, server.DiskImage = server.VMState != Stopped, Awake, db.Of[*Rescue](nil), ""
	err = s.save(ctx, tx, &server, "task_state", "rebuilds", "running", "rest", "rescue", "disk_image")
	if err != nil {
		return err
	}
	return s.want(ctx, tx, server)
}

func (s *Service) rebuildWait(ctx context.Context, state *rebuildState) error {
	server, seen, err := s.seen(ctx, state.Server)
	if err == nil && seen.Running != server.Running {
		return work.NotYet("waiting for host %s to start the guest", server.Host)
	}
	return err
}

func (s *Service) rebuildFinish(ctx context.Context, tx *db.Tx, state *rebuildState) error {
	server, err := s.change(ctx, tx, state.Server, func(server *Server) error {
		server.VMState, server.PowerState, server.TaskState = Stopped, Shutdown, ""
		if server.Running {
			server.VMState, server.PowerState = Active, Running
		}
		server.Fault = db.Of[*Fault](nil)
		server.LaunchedAt = db.At(s.clock.Now())
		return nil
	}, "vm_state", "power_state", "task_state", "fault", "launched_at")
	if err != nil {
		return err
	}
	return s.tell(ctx, tx, "rebuild.end", server)
}

func (s *Service) rebuildFailed(ctx context.Context, tx *db.Tx, state *rebuildState, cause error) error {
	fault := failure(cause)
	fault.Created = db.At(s.clock.Now())
	server, err := s.change(ctx, tx, state.Server, func(server *Server) error {
		if server.TaskState != DeletingTask {
			server.VMState, server.TaskState, server.Fault = Errored, "", db.Of(&fault)
		}
		return nil
	}, "vm_state", "task_state", "fault")
	if err != nil {
		return err
	}
	return s.tell(ctx, tx, "rebuild.error", server)
}
