//! Roles of users (trust contract, section 3).

use std::{fmt, str::FromStr};

/// Right to a part of the API and the admin pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Reads: admin pages, metrics, history, look-ups, dry runs, the coinbase of a sub-pool.
    Viewer,
    /// Switches sub-accounts, and undoes switches.
    Switcher,
    /// Changes coinbase texts and payout addresses, and undoes these changes.
    Payout,
    /// Everything.
    Admin,
}

impl Role {
    /// All roles, in the order of the contract.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Switcher, Self::Payout, Self::Admin];

    /// Name in the configuration and in `UsersFile`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Switcher => "switcher",
            Self::Payout => "payout",
            Self::Admin => "admin",
        }
    }

    /// The activity of a route that needs this role, for the text of a refusal: `user 'wang' may not …`.
    pub fn activity(self) -> &'static str {
        match self {
            Self::Viewer => "read this",
            Self::Switcher => "switch sub-accounts",
            Self::Payout => "change payout addresses",
            Self::Admin => "do this",
        }
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|role| role.name() == name).ok_or(())
    }
}

/// Roles of one user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roles(u8);

impl Roles {
    /// Whether these roles include the rights of `role`: every role includes those of `viewer`, `admin` all.
    pub fn include(self, role: Role) -> bool {
        self.is_given(role) || self.is_given(Role::Admin) || (role == Role::Viewer && self.0 != 0)
    }

    /// Whether `role` itself is among these roles, for lists of users. [`Self::include`] decides what a user may do.
    pub fn is_given(self, role: Role) -> bool {
        self.0 & role.bit() != 0
    }

    /// The roles as given, in the order of the contract.
    pub fn iter(self) -> impl Iterator<Item = Role> {
        Role::ALL.into_iter().filter(move |role| self.is_given(*role))
    }
}

impl FromIterator<Role> for Roles {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Self {
        Self(roles.into_iter().fold(0, |bits, role| bits | role.bit()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_include_what_the_contract_says() {
        use Role::{Admin, Payout, Switcher, Viewer};
        for (given, included) in [
            (&[][..], &[][..]),
            (&[Viewer], &[Viewer]),
            (&[Switcher], &[Viewer, Switcher]),
            (&[Payout], &[Viewer, Payout]),
            (&[Switcher, Payout], &[Viewer, Switcher, Payout]),
            (&[Admin], &Role::ALL),
        ] {
            let roles: Roles = given.iter().copied().collect();
            let found: Vec<_> = Role::ALL.into_iter().filter(|role| roles.include(*role)).collect();
            assert_eq!(
                (found, roles.iter().collect::<Vec<_>>()),
                (included.to_vec(), given.to_vec())
            );
        }
    }
}
