package identity

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// FederatedID is as whom a provider knows a user, by one of its protocols.
type FederatedID struct {
	IDP      string `bun:"idp_id"`
	Protocol string `bun:"protocol_id"`
	Unique   string `bun:"unique_id"`
}

// readFederatedIDs lists as whom providers know a user.
func readFederatedIDs(ctx context.Context, tx *db.Tx, user string) ([]FederatedID, error) {
	var ids []FederatedID
	err := tx.All(ctx, &ids, `SELECT idp_id, protocol_id, unique_id FROM federated_users WHERE user_id = ? ORDER BY idp_id, protocol_id, unique_id`, user)
	if err != nil {
		return nil, fmt.Errorf("read providers of user %s: %w", user, err)
	}
	return ids, nil
}

// writeFederatedIDs says as whom providers know a user.
func writeFederatedIDs(ctx context.Context, tx *db.Tx, u User) error {
	_, err := tx.Exec(ctx, `DELETE FROM federated_users WHERE user_id = ?`, u.ID)
	if err != nil {
		return err
	}
	for _, id := range u.Federated {
		_, err = readProtocol(ctx, tx, id.IDP, id.Protocol)
		if errs.Is(err, errs.NotFound) {
			err = errs.BadRequestf("Invalid input for field 'federated': there is no protocol %s of an identity provider %s.", id.Protocol, id.IDP)
		}
		if err != nil {
			return err
		}
		row := federatedUser{IDPID: id.IDP, ProtocolID: id.Protocol, UniqueID: id.Unique, UserID: u.ID}
		var owner string
		err = tx.Get(ctx, &owner, `SELECT user_id FROM federated_users WHERE idp_id = ? AND protocol_id = ? AND unique_id = ?`, id.IDP, id.Protocol, id.Unique)
		switch {
		case err == nil:
			return errs.Conflictf("Conflict occurred attempting to store federated_user - Duplicate Entry.")
		case !errors.Is(err, sql.ErrNoRows):
			return err
		}
		err = tx.Insert(ctx, &row)
		if err != nil {
			return err
		}
	}
	return nil
}
