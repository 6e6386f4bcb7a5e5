package app

import (
	"context"
	"encoding/json"
	"io"

	"nacre/internal/errs"
	"nacre/internal/image"
	"nacre/internal/nodeapi"
)

// serveImages gives nodes the images that their machines and volumes start from,
// and no others: a node asks for what its own documents name.
func (cloud *Cloud) serveImages(images *image.Service) {
	find := func(ctx context.Context, host, id string) (image.Image, error) {
		named, err := cloud.Hosts.NamesImage(ctx, host, id)
		if err != nil {
			return image.Image{}, err
		}
		if !named {
			return image.Image{}, errs.NotFoundf("Nothing on host %s is made from image %s.", host, id)
		}
		found, err := images.Image(ctx, image.Viewer{Admin: true}, id)
		if err != nil {
			return image.Image{}, err
		}
		return found, found.Usable()
	}
	cloud.Hosts.OnQuery(nodeapi.QueryImage, func(ctx context.Context, host string, payload json.RawMessage) (any, error) {
		var q nodeapi.ImageQuery
		err := json.Unmarshal(payload, &q)
		if err != nil {
			return nil, errs.BadRequestf("The question is not understood.").Because(err)
		}
		found, err := find(ctx, host, q.Image)
		if err != nil {
			return nil, err
		}
		return nodeapi.ImageReply{Format: found.Content.V.Format, Size: found.Size, SHA512: found.HashValue}, nil
	})
	cloud.Hosts.OnStream(nodeapi.StreamImage, func(ctx context.Context, host, id string) (func(*nodeapi.Stream) error, error) {
		found, err := find(ctx, host, id)
		if err != nil {
			return nil, err
		}
		return func(s *nodeapi.Stream) error {
			bytes, err := images.Open(ctx, found)
			if err != nil {
				return err
			}
			defer bytes.Close()
			_, err = io.Copy(s, bytes)
			return err
		}, nil
	})
}
