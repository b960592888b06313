//! Enums of label values.

/// Defines an enum of label values: `value as usize` is its index in `ALL`, and `label` its text. A derived
/// `EncodeLabelValue` would write the variants' names.
macro_rules! label_values {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $label:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $name {
            $($(#[$doc])* $variant,)*
        }

        impl $name {
            pub(super) const ALL: [Self; [$($label),*].len()] = [$(Self::$variant),*];

            pub(crate) const fn label(self) -> &'static str {
                match self {
                    $(Self::$variant => $label,)*
                }
            }
        }
    };
}

pub(super) use label_values;
