-- +goose Up

-- What the board is asked cannot change once it is asked, whoever writes: neither question, action, rule nor roster. A vote is only ended, or its
-- condition accepted.
CREATE TRIGGER proposals_fixed BEFORE UPDATE ON fleet.proposals
    FOR EACH ROW WHEN ((OLD.id, OLD.tenant_id, OLD.title, OLD.body, OLD.action, OLD.dispatch_id, OLD.details, OLD.action_text, OLD.quorum, OLD.pass,
        OLD.signed, OLD.incident, OLD.opened_by, OLD.opened_at)
        IS DISTINCT FROM (NEW.id, NEW.tenant_id, NEW.title, NEW.body, NEW.action, NEW.dispatch_id, NEW.details, NEW.action_text, NEW.quorum, NEW.pass,
        NEW.signed, NEW.incident, NEW.opened_by, NEW.opened_at))
    EXECUTE FUNCTION fleet.append_only();
CREATE TRIGGER proposals_closed BEFORE UPDATE ON fleet.proposals
    FOR EACH ROW WHEN (OLD.state <> 'open') EXECUTE FUNCTION fleet.append_only();
CREATE TRIGGER roster_fixed BEFORE UPDATE OR DELETE ON fleet.roster FOR EACH ROW EXECUTE FUNCTION fleet.append_only();
CREATE TRIGGER votes_fixed BEFORE UPDATE ON fleet.votes
    FOR EACH ROW WHEN ((OLD.id, OLD.tenant_id, OLD.proposal_id, OLD.seat, OLD.verdict, OLD.reason, OLD.actor, OLD.event_id, OLD.cast_at, OLD.how, OLD.review)
        IS DISTINCT FROM (NEW.id, NEW.tenant_id, NEW.proposal_id, NEW.seat, NEW.verdict, NEW.reason, NEW.actor, NEW.event_id, NEW.cast_at, NEW.how, NEW.review))
    EXECUTE FUNCTION fleet.append_only();
