package register

// ChangeIdentity links an identity to a Matrix ID, or grants or revokes roles; the answer is an Identity.
func ChangeIdentity(name string, body IdentityChange) Mutation {
	return mutation(NewChangeIdentityRequest(nowhere, name, &ChangeIdentityParams{}, body))
}

// ReportReset reports that an identity came back with other keys; the answer is an Identity.
func ReportReset(name string, body IdentityResetReport) Mutation {
	return mutation(NewReportResetRequest(nowhere, name, &ReportResetParams{}, body))
}

// TrustReset accepts the new keys of an identity, by its name or Matrix ID; the answer is an Identity.
func TrustReset(name string, body IdentityTrust) Mutation {
	return mutation(NewTrustResetRequest(nowhere, name, &TrustResetParams{}, body))
}

// SetRoomEncryption says whether a room must be encrypted; the answer is a RoomBinding.
func SetRoomEncryption(room string, encrypted RoomEncryption) Mutation {
	return mutation(NewSetRoomEncryptionRequest(nowhere, room, &SetRoomEncryptionParams{}, EncryptionRequest{Encrypted: encrypted}))
}
