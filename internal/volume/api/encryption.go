package api

import (
	"encoding/json"

	"nacre/internal/api"
	"nacre/internal/errs"
	"nacre/internal/volume"
)

func (h handlers) encryption() []api.Route {
	const rule, path = "volume_extension:volume_type_encryption:", "/types/{volume_type_id}/encryption"
	const metadata = "volume_extension:volume_encryption_metadata"
	return []api.Route{
		{Method: "GET", Path: path, Rule: rule + "get", Do: api.Get(h.showEncryption)},
		{Method: "GET", Path: path + "/{key}", Rule: rule + "get", Do: api.Get(h.showEncryptionItem)},
		{Method: "DELETE", Path: path + "/{encryption_id}", Rule: rule + "delete", OK: 202, Do: api.Empty(h.deleteEncryption)},
		{Method: "POST", Path: path, Rule: rule + "create", Do: api.Body(h.createEncryption)},
		{Method: "PUT", Path: path + "/{encryption_id}", Rule: rule + "update", Do: api.Body(h.updateEncryption)},
		{Method: "GET", Path: "/volumes/{volume_id}/encryption", Rule: metadata, Do: api.Get(h.showVolumeEncryption)},
		{Method: "GET", Path: "/volumes/{volume_id}/encryption/{key}", Rule: metadata, Do: api.Get(h.showVolumeEncryptionItem)},
	}
}

type encryptionView struct {
	Provider        string  `json:"provider"`
	ControlLocation string  `json:"control_location"`
	Cipher          *string `json:"cipher"`
	KeySize         *int64  `json:"key_size"`
}

type encryptionReply struct {
	Encryption encryptionView `json:"encryption"`
}

func viewEncryption(e volume.Encryption) encryptionView {
	view := encryptionView{Provider: e.Provider, ControlLocation: e.ControlLocation, Cipher: orNull(e.Cipher)}
	if e.KeySize > 0 {
		view.KeySize = &e.KeySize
	}
	return view
}

// shownEncryption is what a type says of itself when it says that much.
type shownEncryption struct {
	encryptionView
	ID        string     `json:"encryption_id"`
	TypeID    string     `json:"volume_type_id"`
	CreatedAt api.Micros `json:"created_at"`
	UpdatedAt api.Micros `json:"updated_at"`
	Deleted   bool       `json:"deleted"`
	DeletedAt *string    `json:"deleted_at"`
}

// showEncryption is an empty object for a type without encryption.
func (h handlers) showEncryption(c *api.Call) (any, error) {
	t, err := h.foundType(c)
	if err != nil {
		return nil, err
	}
	e, err := h.service.EncryptionOf(c.Context(), t.ID)
	if errs.Is(err, errs.NotFound) {
		return struct{}{}, nil
	}
	return shownEncryption{
		encryptionView: viewEncryption(e), ID: e.ID, TypeID: e.Type, CreatedAt: stamp(e.CreatedAt), UpdatedAt: stamp(e.UpdatedAt),
	}, err
}

func (h handlers) showEncryptionItem(c *api.Call) (map[string]any, error) {
	shown, err := h.showEncryption(c)
	if err != nil {
		return nil, err
	}
	return field(c, shown, "Volume type encryption")
}

// field picks one field of what is shown.
func field(c *api.Call, shown any, what string) (map[string]any, error) {
	text, err := json.Marshal(shown)
	if err != nil {
		return nil, err
	}
	all := map[string]any{}
	err = json.Unmarshal(text, &all)
	if err != nil {
		return nil, err
	}
	key := c.PathValue("key")
	value, known := all[key]
	if !known {
		return nil, errs.NotFoundf("%s has no %s.", what, key)
	}
	return map[string]any{key: value}, nil
}

type createEncryptionRequest struct {
	Encryption struct {
		Provider        string   `json:"provider" check:"required,min=1,max=255"`
		ControlLocation string   `json:"control_location" check:"required,enum=front-end|back-end"`
		Cipher          *string  `json:"cipher" check:"max=255"`
		KeySize         *api.Int `json:"key_size" check:"min=0,max=2147483647"`
	} `json:"encryption" check:"required"`
}

type createdEncryption struct {
	encryptionView
	ID     string `json:"encryption_id"`
	TypeID string `json:"volume_type_id"`
}

type createdEncryptionReply struct {
	Encryption createdEncryption `json:"encryption"`
}

func (h handlers) createEncryption(c *api.Call, in createEncryptionRequest) (createdEncryptionReply, error) {
	t, err := h.foundType(c)
	if err != nil {
		return createdEncryptionReply{}, err
	}
	e := volume.Encryption{Type: t.ID, Provider: in.Encryption.Provider, ControlLocation: in.Encryption.ControlLocation, Cipher: first(in.Encryption.Cipher)}
	if in.Encryption.KeySize != nil {
		e.KeySize = int64(*in.Encryption.KeySize)
	}
	e, err = h.service.CreateEncryption(c.Context(), e)
	return createdEncryptionReply{createdEncryption{viewEncryption(e), e.ID, e.Type}}, err
}

type updateEncryptionRequest struct {
	Encryption struct {
		Provider        *string  `json:"provider" check:"min=1,max=255"`
		ControlLocation *string  `json:"control_location" check:"enum=front-end|back-end"`
		Cipher          *string  `json:"cipher" check:"max=255"`
		KeySize         *api.Int `json:"key_size" check:"min=0,max=2147483647"`
	} `json:"encryption" check:"required"`
}

func (h handlers) updateEncryption(c *api.Call, in updateEncryptionRequest) (encryptionReply, error) {
	t, err := h.foundType(c)
	if err != nil {
		return encryptionReply{}, err
	}
	e, err := h.service.ChangeEncryption(c.Context(), t.ID, func(e *volume.Encryption) {
		if in.Encryption.Provider != nil {
			e.Provider = *in.Encryption.Provider
		}
		if in.Encryption.ControlLocation != nil {
			e.ControlLocation = *in.Encryption.ControlLocation
		}
		if in.Encryption.Cipher != nil {
			e.Cipher = *in.Encryption.Cipher
		}
		if in.Encryption.KeySize != nil {
			e.KeySize = int64(*in.Encryption.KeySize)
		}
	})
	return encryptionReply{viewEncryption(e)}, err
}

// deleteEncryption goes by the type, whatever id the path has: clients write
// "provider" there.
func (h handlers) deleteEncryption(c *api.Call) error {
	t, err := h.foundType(c)
	if err != nil {
		return err
	}
	return h.service.DeleteEncryption(c.Context(), t.ID)
}

type keyView struct {
	KeyID *string `json:"encryption_key_id"`
}

// volumeEncryption is what whoever attaches a volume has to know.
type volumeEncryption struct {
	keyView
	encryptionView
}

// showVolumeEncryption says of a volume that is not encrypted that it has no key.
func (h handlers) showVolumeEncryption(c *api.Call) (any, error) {
	v, err := h.found(c)
	if err != nil || v.Key == "" {
		return keyView{}, err
	}
	e, err := h.service.EncryptionOf(c.Context(), v.Type)
	return volumeEncryption{keyView{&v.Key}, viewEncryption(e)}, err
}

func (h handlers) showVolumeEncryptionItem(c *api.Call) (map[string]any, error) {
	shown, err := h.showVolumeEncryption(c)
	if err != nil {
		return nil, err
	}
	return field(c, shown, "Volume encryption")
}
