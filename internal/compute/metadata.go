package compute

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/nodeapi"
)

// maxPassword is how long a password may be that a guest posts.
const maxPassword = 1020

// AnswerMetadata answers a guest's request to the metadata service. Who asks is
// told by network, address and MAC, which its host has seen; a server that is
// said to be on another host is none.
func (s *Service) AnswerMetadata(ctx context.Context, host string, payload json.RawMessage) (any, error) {
	var q nodeapi.MetadataQuery
	err := json.Unmarshal(payload, &q)
	if err != nil {
		return nil, errs.BadRequestf("The question is not understood.").Because(err)
	}
	id, err := s.networks.ServerAt(ctx, q.Network, q.IP, q.MAC)
	if errs.Is(err, errs.NotFound) {
		return page(404, "No server has this address.\n"), nil
	}
	if err != nil {
		return nil, fmt.Errorf("find server at %s: %w", q.IP, err)
	}
	d, err := s.readInstanceData(ctx, id)
	if errs.Is(err, errs.NotFound) || (err == nil && d.server.Host != host) {
		return page(404, "No server has this address.\n"), nil
	}
	if err != nil {
		return nil, err
	}
	path, _, _ := strings.Cut(q.Path, "?")
	parts := strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
	if len(parts) == 3 && parts[0] == "openstack" && parts[2] == "password" {
		return s.password(ctx, q, d)
	}
	if q.Method != "GET" && q.Method != "HEAD" {
		return page(405, "Method not allowed.\n"), nil
	}
	if wantsVendorData(parts) && s.vendor.Asks() {
		// One question at a time, so that no guest takes all of its host's, or of the services.
		_, busy := s.asking.LoadOrStore(id, true)
		if busy {
			return page(503, "The vendor data is being asked for.\n"), nil
		}
		defer s.asking.Delete(id)
		d.secrets.VendorData.V, err = s.askVendorData(ctx, d.server, d.secrets)
		if errs.Is(err, errs.Internal) {
			return page(500, "There is no vendor data now.\n"), nil
		}
		if err != nil {
			return nil, err
		}
	}
	return d.serve(parts)
}

func (s *Service) readInstanceData(ctx context.Context, id string) (instanceData, error) {
	var d instanceData
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		server, err := getServer(ctx, tx, "", id)
		if err != nil {
			return err
		}
		secret, err := secretsOf(ctx, tx, id)
		if err != nil {
			return err
		}
		ports, err := s.networks.NetworkInfo(ctx, tx, id)
		if err != nil {
			return err
		}
		cards, err := cardsOf(ctx, tx, id)
		if err != nil {
			return err
		}
		volumes, err := attachmentsOf(ctx, tx, id)
		if err != nil {
			return err
		}
		topology, _, err := topologyOf(ctx, tx, server)
		if err != nil {
			return err
		}
		d = s.instanceData(server, secret, ports, cards, volumes, topology)
		var seen nodeapi.MachineObserved
		_, err = s.hosts.Observed(ctx, tx, server.Host, nodeapi.KindMachine, id, &seen)
		d.addresses = seen.Addresses
		return err
	})
	return d, err
}

// password shows the password that the guest posted, or takes it: once.
func (s *Service) password(ctx context.Context, q nodeapi.MetadataQuery, d instanceData) (any, error) {
	if q.Method != "POST" {
		return page(200, d.secrets.Password), nil
	}
	if len(q.Body) > maxPassword {
		return page(400, "The password is too long.\n"), nil
	}
	taken := false
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec(ctx, "UPDATE server_secrets SET password = ? WHERE server = ? AND password = ''", string(q.Body), d.server.ID)
		taken = n > 0
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("keep password of server %s: %w", d.server.ID, err)
	}
	if !taken {
		return page(409, "There is a password already.\n"), nil
	}
	return page(200, ""), nil
}

// Password returns the password that the server's guest posted, encrypted.
func (s *Service) Password(ctx context.Context, server Server) (string, error) {
	var row secrets
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		row, err = secretsOf(ctx, tx, server.ID)
		return err
	})
	return row.Password, err
}

// ClearPassword forgets it, so that the guest may post another.
func (s *Service) ClearPassword(ctx context.Context, server Server) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE server_secrets SET password = '' WHERE server = ?", server.ID)
		return err
	})
}

// page is a reply of plain text.
func page(status int, text string) nodeapi.MetadataReply {
	return nodeapi.MetadataReply{Status: status, Header: map[string]string{"Content-Type": "text/plain; charset=UTF-8"}, Body: []byte(text)}
}

func object(body []byte) nodeapi.MetadataReply {
	return nodeapi.MetadataReply{Status: 200, Header: map[string]string{"Content-Type": "application/json"}, Body: body}
}

var notThere = page(404, "Not found.\n")

// serve answers for the path, in parts, from both trees.
func (d instanceData) serve(parts []string) (nodeapi.MetadataReply, error) {
	if len(parts) == 0 {
		return page(200, strings.Join(ec2Versions, "\n")), nil
	}
	if parts[0] == "openstack" {
		return d.serveOurs(parts[1:])
	}
	if !slices.Contains(ec2Versions, parts[0]) {
		return notThere, nil
	}
	return d.serveEC2(parts[1:])
}

func (d instanceData) serveOurs(parts []string) (nodeapi.MetadataReply, error) {
	if len(parts) == 0 {
		return page(200, strings.Join(ourVersions, "\n")), nil
	}
	files := d.content()
	if parts[0] != "content" {
		if !slices.Contains(ourVersions, parts[0]) {
			return notThere, nil
		}
		var err error
		files, err = d.folder(parts[0])
		if err != nil {
			return notThere, err
		}
	}
	if len(parts) > 2 || len(files) == 0 {
		return notThere, nil
	}
	if len(parts) == 1 {
		return page(200, strings.Join(slices.Sorted(maps.Keys(files)), "\n")), nil
	}
	content, exists := files[parts[1]]
	switch {
	case !exists:
		return notThere, nil
	case strings.HasSuffix(parts[1], ".json"):
		return object(content), nil
	}
	return nodeapi.MetadataReply{Status: 200, Header: map[string]string{"Content-Type": "application/octet-stream"}, Body: content}, nil
}

func (d instanceData) serveEC2(parts []string) (nodeapi.MetadataReply, error) {
	if len(parts) == 0 {
		list := "meta-data/"
		if d.userData() != nil {
			list += "\nuser-data"
		}
		return page(200, list), nil
	}
	if parts[0] == "user-data" && len(parts) == 1 {
		data := d.userData()
		if data == nil {
			return notThere, nil
		}
		return nodeapi.MetadataReply{Status: 200, Header: map[string]string{"Content-Type": "application/octet-stream"}, Body: data}, nil
	}
	if parts[0] != "meta-data" {
		return notThere, nil
	}
	var at any = d.ec2()
	for _, part := range parts[1:] {
		folder, isFolder := at.(tree)
		// A key is listed as 0=name, and asked for as either.
		part, _, _ = strings.Cut(part, "=")
		next, exists := folder[part]
		if !isFolder || !exists {
			return notThere, nil
		}
		at = next
	}
	folder, isFolder := at.(tree)
	if !isFolder {
		return page(200, fmt.Sprint(at)), nil
	}
	return page(200, d.listing(folder)), nil
}

// listing lists a folder; folders below it end in a slash, keys have a name.
func (d instanceData) listing(folder tree) string {
	names := slices.Sorted(maps.Keys(folder))
	for i, name := range names {
		below, isFolder := folder[name].(tree)
		_, isKey := below["openssh-key"]
		switch {
		case isKey && d.server.KeyName != nil:
			names[i] = name + "=" + *d.server.KeyName
		case isFolder:
			names[i] = name + "/"
		}
	}
	return strings.Join(names, "\n")
}

// validBase64 tells whether user data can be read.
func validBase64(text string) bool {
	_, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	return err == nil
}
