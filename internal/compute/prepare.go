package compute

import (
	"context"
	"slices"

	"nacre/internal/auth"
	"nacre/internal/boolean"
	"nacre/internal/clock"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/quota"
)

// createPlanned is what the plan of a new server starts from, the same for all
// servers of one request.
type createPlanned struct {
	cards  []NewCard
	groups []string
	disks  []BlockDevice
	secret secrets
}

// prepare checks the request against flavor, image, key pair, networks and
// volumes, and fills in what was left out.
func (s *Service) prepare(ctx context.Context, in NewServer) (Server, createPlanned, error) {
	now := db.At(s.clock.Now())
	server := Server{
		Generation: 1, Project: in.Caller.Project, UserID: in.Caller.User,
		Name: in.Name, Description: in.Description, Hostname: in.Hostname,
		VMState: Building, TaskState: Scheduling, Zone: in.Zone,
		KeyName: in.KeyName, ConfigDrive: in.ConfigDrive, Metadata: db.Of(in.Metadata),
		AccessIP4: in.AccessIP4, AccessIP6: in.AccessIP6,
		Reservation: "r-" + clock.Hex()[:8], Running: true,
		ServerGroup: in.ServerGroup, SchedulerHints: db.Of(in.Hints), Certificates: db.Of(in.Certificates),
		CreatedAt: now, UpdatedAt: now,
	}
	if server.Metadata.V == nil {
		server.Metadata.V = map[string]string{}
	}
	var plan createPlanned
	f, err := s.Flavor(ctx, flavorScope(in.Caller), in.Flavor)
	if errs.Is(err, errs.NotFound) {
		return server, plan, errs.BadRequestf("Flavor %s could not be found.", in.Flavor)
	}
	if err != nil {
		return server, plan, err
	}
	server.Flavor, server.FlavorID = flavorColumn{f}, f.ID
	err = s.checkMetadata(ctx, in.Caller, in.Metadata)
	if err != nil {
		return server, plan, err
	}
	if in.Zone != "" && !s.zoneExists(in.Zone) {
		return server, plan, errs.BadRequestf("The requested availability zone is not available")
	}
	err = checkNear(in.Hints)
	if err != nil {
		return server, plan, err
	}
	plan.secret, err = s.newSecrets(ctx, in)
	if err != nil {
		return server, plan, err
	}
	err = s.prepareDisks(ctx, in, &server, &plan)
	if err != nil {
		return server, plan, err
	}
	server.takeDrive()
	if server.ConfigDrive {
		plan.secret.AdminPass = in.AdminPass
	}
	err = server.checkTopology()
	if err != nil {
		return server, plan, err
	}
	err = s.prepareCards(ctx, in, &plan)
	return server, plan, err
}

// flavorScope is whose flavors the caller sees: an admin sees all.
func flavorScope(c auth.Caller) string {
	if c.Admin() {
		return ""
	}
	return c.Project
}

func checkUserData(text string) error {
	switch {
	case len(text) > 65535:
		return errs.BadRequestf("User data too large. User data must be no larger than 65535 bytes once base64 encoded. Your data is %d bytes", len(text))
	case !validBase64(text):
		return errs.BadRequestf("User data needs to be valid base 64.")
	}
	return nil
}

func (s *Service) newSecrets(ctx context.Context, in NewServer) (secrets, error) {
	row := secrets{UserData: in.UserData, Files: db.Of(in.Files)}
	err := checkUserData(in.UserData)
	if err != nil {
		return row, err
	}
	err = s.checkFiles(ctx, in.Caller, in.Files)
	if err != nil {
		return row, err
	}
	if in.KeyName != nil {
		pair, err := s.KeyPair(ctx, in.Caller.User, *in.KeyName)
		if errs.Is(err, errs.NotFound) {
			return row, errs.BadRequestf("Invalid key_name provided.")
		}
		if err != nil {
			return row, err
		}
		row.PublicKey, row.KeyType = pair.PublicKey, pair.Type
	}
	return row, nil
}

// checkImage tells whether the image can make a server of this flavor, whose root disk is
// local or a volume. Not everybody may have a local one that is as large as its image.
func checkImage(image Image, f Flavor, local, zeroDisk bool) error {
	switch {
	case image.Status != "active":
		return errs.BadRequestf("Image %s is not active.", image.ID)
	case image.Bootable != nil:
		return errs.BadRequestf("Image %s is unacceptable: %s", image.ID, image.Bootable)
	case image.MinRAMMB > f.RAM:
		return errs.BadRequestf("Flavor's memory is too small for requested image.")
	case local && f.Disk == 0 && !zeroDisk:
		return errs.Forbiddenf("Only volume-backed servers are allowed for flavors with zero disk.")
	case local && f.Disk > 0 && image.MinDiskGB > f.Disk:
		return errs.BadRequestf("Flavor's disk is smaller than the minimum size specified in image metadata. "+
			"Flavor disk is %d bytes, minimum size is %d bytes.", f.Disk<<30, image.MinDiskGB<<30)
	case local && f.Disk > 0 && image.SizeBytes > f.Disk<<30:
		return errs.BadRequestf("Flavor's disk is too small for requested image. Flavor disk is %d bytes, image is %d bytes.",
			f.Disk<<30, image.SizeBytes)
	}
	return nil
}

// autoDisk tells whether a server's root is to be grown: as was asked for, or
// else as the image says, which may also forbid it.
func autoDisk(image Image, asked *bool) (bool, error) {
	says := words(image.Properties)["auto_disk_config"]
	if asked == nil {
		return boolean.Is(says), nil
	}
	if *asked && says == "disabled" {
		return false, errs.BadRequestf("Requested image %s has automatic disk resize disabled.", image.ID)
	}
	return *asked, nil
}

// errNoCertificates tells why nobody holds the image of a disk that is a volume to
// certificates.
func errNoCertificates() error {
	return errs.BadRequestf("Image certificate validation is not supported when booting from volume")
}

func (s *Service) prepareDisks(ctx context.Context, in NewServer, server *Server, plan *createPlanned) error {
	f := server.Flavor.V
	image, err := s.expand(ctx, &in, f)
	if err != nil {
		return err
	}
	server.Image = in.Image
	server.AutoDisk, err = autoDisk(image, in.AutoDisk)
	if err != nil {
		return err
	}
	root, err := bootDisk(in)
	if err != nil {
		return err
	}
	for _, d := range in.Disks {
		switch {
		case d.Bus != "" && !slices.Contains(buses, d.Bus):
			return errs.BadRequestf("Block Device Mapping is Invalid: The provided disk bus %s is not valid.", d.Bus)
		case d.Absent:
		case d.Source == "image" && d.Destination == "local": // the server's image, whatever else is said
			if d.ID == in.Image {
				continue
			}
			_, err := s.diskImage(ctx, in.Caller, d.ID)
			if err != nil {
				return err
			}
		case d.Source == "blank" && d.Destination == "local":
			local, err := localDisk(d)
			if err != nil {
				return err
			}
			server.LocalDisks.V = append(server.LocalDisks.V, local)
		default:
			err := s.checkDisk(ctx, in, &d)
			if err != nil {
				return err
			}
			plan.disks = append(plan.disks, d)
		}
	}
	if root != nil && root.Destination == "volume" {
		if len(in.Certificates) > 0 {
			return errNoCertificates()
		}
		server.Image = ""
		err := s.bootFrom(ctx, in.Caller, *root, server)
		if err != nil {
			return err
		}
	}
	if server.Image == "" && (root == nil || root.Destination != "volume") {
		return errs.BadRequestf("Missing imageRef attribute")
	}
	err = checkLocal(*server)
	if err != nil {
		return err
	}
	bootImage := server.Image
	if root != nil && root.Source == "image" && root.Destination == "volume" {
		bootImage = root.ID
	}
	if bootImage == "" {
		err = checkHardware(server.ImageProperties.V, f)
		if err != nil {
			return err
		}
		return server.chooseBuses(root, plan.disks, false)
	}
	if image.ID != bootImage {
		image, err = s.images.Image(ctx, in.Caller, bootImage)
	}
	if errs.Is(err, errs.NotFound) {
		return errs.BadRequestf("Can not find requested image")
	}
	if err != nil {
		return err
	}
	server.ImageProperties = db.Of(image.Properties)
	err = checkHardware(image.Properties, f)
	if err == nil {
		err = server.chooseBuses(root, plan.disks, image.ISO)
	}
	if err != nil {
		return err
	}
	return checkImage(image, f, server.Image != "", in.ZeroDisk)
}

// bootDisk is the disk that a server boots from, nil where only an image is given. The
// disks that it may boot from are counted from 0.
func bootDisk(in NewServer) (*BlockDevice, error) {
	order := make([]*BlockDevice, len(in.Disks))
	last := -1
	for i := range in.Disks {
		d := &in.Disks[i]
		if d.BootIndex == nil || *d.BootIndex < 0 {
			continue
		}
		if *d.BootIndex >= len(order) || order[*d.BootIndex] != nil {
			return nil, errBootSequence
		}
		order[*d.BootIndex], last = d, max(last, *d.BootIndex)
	}
	switch {
	case len(order) == 0:
		return nil, nil
	case last < 0 || slices.Contains(order[:last], nil):
		return nil, errBootSequence
	}
	return order[0], nil
}

var errBootSequence = errs.BadRequestf("Block Device Mapping is Invalid: Boot sequence for the instance and image/block device mapping combination is not valid.")

// bootFrom checks that a volume, or what a snapshot was taken of, can be booted
// from, and gives the server the properties of its image.
func (s *Service) bootFrom(ctx context.Context, caller auth.Caller, root BlockDevice, server *Server) error {
	volume := root.ID
	switch root.Source {
	case "volume":
	case "snapshot":
		snapshot, err := s.volumes.Snapshot(ctx, caller, root.ID)
		if err != nil {
			return err
		}
		volume = snapshot.Volume
	default:
		return nil
	}
	v, err := s.volumes.Volume(ctx, caller, volume)
	if err != nil {
		return err
	}
	if !v.Bootable {
		return errs.BadRequestf("Block Device %s is not bootable.", root.ID)
	}
	server.ImageProperties = db.Of(v.ImageProperties)
	return nil
}

// checkDisk checks a disk that is a volume.
func (s *Service) checkDisk(ctx context.Context, in NewServer, d *BlockDevice) error {
	if s.volumes == nil {
		return errs.BadRequestf("Block Device Mapping is Invalid: there is no volume service.")
	}
	if d.VolumeType != "" {
		err := s.volumes.TypeExists(ctx, in.Caller, d.VolumeType)
		if errs.Is(err, errs.NotFound) {
			return errs.BadRequestf("Volume type %s could not be found.", d.VolumeType)
		}
		if err != nil {
			return err
		}
	}
	if d.Destination != "volume" {
		return errs.BadRequestf("Block Device Mapping is Invalid: Mapping %s to local is not supported.", d.Source)
	}
	switch d.Source {
	case "volume":
		if in.Max > 1 {
			return errs.BadRequestf("Cannot attach one or more volumes to multiple instances")
		}
		v, err := s.volumes.Volume(ctx, in.Caller, d.ID)
		if errs.Is(err, errs.NotFound) {
			return errs.BadRequestf("Block Device Mapping is Invalid: failed to get volume %s.", d.ID)
		}
		if err != nil {
			return err
		}
		if v.Status != "available" && !(v.Shared && v.Status == "in-use") {
			return errs.BadRequestf("Invalid volume: volume '%s' status must be 'available'. Currently in '%s'", d.ID, v.Status)
		}
		if v.Shared && !in.Shared {
			return errShared
		}
	case "snapshot":
		snapshot, err := s.volumes.Snapshot(ctx, in.Caller, d.ID)
		switch {
		case errs.Is(err, errs.NotFound):
			return errs.BadRequestf("Block Device Mapping is Invalid: failed to get snapshot %s.", d.ID)
		case err != nil:
			return err
		case snapshot.Status != "available":
			return errs.BadRequestf("Invalid snapshot: snapshot '%s' status must be 'available'. Currently in '%s'", d.ID, snapshot.Status)
		case d.SizeGB == 0:
			d.SizeGB = snapshot.SizeGB
		case d.SizeGB < snapshot.SizeGB:
			return errs.BadRequestf("Block Device Mapping is Invalid: volume_size %d is smaller than the %d GiB of snapshot %s.", d.SizeGB, snapshot.SizeGB, d.ID)
		}
	case "image":
		image, err := s.diskImage(ctx, in.Caller, d.ID)
		if err != nil {
			return err
		}
		if d.SizeGB == 0 {
			return errs.BadRequestf("Images with destination_type 'volume' need to have a non-zero size specified")
		}
		if d.SizeGB < image.MinDiskGB {
			return errs.BadRequestf("Volume is smaller than the minimum size specified in image metadata. "+
				"Volume size is %d bytes, minimum size is %d bytes.", d.SizeGB<<30, image.MinDiskGB<<30)
		}
	case "blank":
		if d.SizeGB == 0 {
			return errs.BadRequestf("Blank volumes (source: 'blank', dest: 'volume') need to have non-zero size")
		}
	}
	return nil
}

// diskImage is an image that a disk is made of.
func (s *Service) diskImage(ctx context.Context, caller auth.Caller, id string) (Image, error) {
	image, err := s.images.Image(ctx, caller, id)
	if errs.Is(err, errs.NotFound) {
		return image, errs.BadRequestf("Block Device Mapping is Invalid: failed to get image %s.", id)
	}
	return image, err
}

// prepareCards finds the security groups and networks, and checks the ports.
func (s *Service) prepareCards(ctx context.Context, in NewServer, plan *createPlanned) error {
	var err error
	plan.groups, err = s.networks.SecurityGroups(ctx, in.Caller, in.Groups)
	if errs.Is(err, errs.NotFound) {
		e, _ := errs.As(err)
		return errs.BadRequestf("%s", e.Message)
	}
	if err != nil || in.NoNetwork {
		return err
	}
	if in.Cards == nil {
		return s.onlyNetwork(ctx, in, plan)
	}
	for _, card := range in.Cards {
		err := s.prepareCard(ctx, in, &card, plan.cards)
		if err != nil {
			return err
		}
		plan.cards = append(plan.cards, card)
	}
	return nil
}

// onlyNetwork picks the network that a server has a card on which names none.
func (s *Service) onlyNetwork(ctx context.Context, in NewServer, plan *createPlanned) error {
	all, err := s.networks.Available(ctx, in.Caller)
	if err != nil {
		return err
	}
	if len(all) > 1 {
		return errs.Conflictf("Multiple possible networks found, use a Network ID to be more specific.")
	}
	if len(all) == 0 && in.AutoNetwork {
		id, err := s.networks.AllocateTopology(ctx, in.Caller.Project)
		e, known := errs.As(err)
		if known {
			return errs.BadRequestf("Unable to automatically allocate a network for project %s: %s", in.Caller.Project, e.Message)
		}
		if err != nil {
			return err
		}
		all = []Network{{ID: id}}
	}
	for _, n := range all {
		plan.cards = append(plan.cards, NewCard{Network: n.ID})
	}
	return nil
}

// prepareCard checks one card of a server that is to have some already.
func (s *Service) prepareCard(ctx context.Context, in NewServer, card *NewCard, others []NewCard) error {
	switch {
	case card.Port != "" && in.Max > 1:
		return errs.BadRequestf("Failed to launch instances: port %s can be given to one of them only.", card.Port)
	case card.FixedIP != "" && in.Max > 1:
		return errs.BadRequestf("Failed to launch instances: max_count cannot be greater than 1 if an fixed_ip is specified.")
	case card.Port == "":
		_, err := s.networks.Network(ctx, in.Caller, *card)
		e, _ := errs.As(err)
		switch {
		case errs.Is(err, errs.NotFound):
			return errs.BadRequestf("Network %s could not be found.", card.Network)
		case errs.Is(err, errs.Conflict):
			return errs.BadRequestf("%s", e.Message)
		}
		return err
	case slices.ContainsFunc(others, func(other NewCard) bool { return other.Port == card.Port }):
		return errs.BadRequestf("Port %s is asked for more than once.", card.Port)
	}
	p, err := s.networks.FreePort(ctx, in.Caller, card.Port)
	if errs.Is(err, errs.NotFound) {
		return errs.BadRequestf("Port %s could not be found.", card.Port)
	}
	card.Network = p.Network
	return err
}

// checkMetadata holds the metadata of a new server to the quota of items.
func (s *Service) checkMetadata(ctx context.Context, caller auth.Caller, metadata map[string]string) error {
	if len(metadata) == 0 {
		return nil
	}
	return s.db.Read(ctx, func(tx *db.Tx) error {
		return metadataFits(ctx, tx, caller.Project, caller.User, metadata)
	})
}

// metadataFits holds metadata to the quota of items that a user has in the project.
func metadataFits(ctx context.Context, tx *db.Tx, project, user string, metadata map[string]string) error {
	limits, err := limitsFor(ctx, tx, project, user, quota.MetadataItem)
	if err != nil {
		return err
	}
	limit := limits[quota.MetadataItem]
	if limit >= 0 && int64(len(metadata)) > limit {
		return errs.Forbiddenf("Maximum number of metadata items exceeds %d", limit)
	}
	return nil
}

// zoneExists tells whether some host is in the availability zone.
func (s *Service) zoneExists(zone string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if zone == s.zone {
		return true
	}
	for _, state := range s.state {
		if state.zone == zone {
			return true
		}
	}
	return false
}
