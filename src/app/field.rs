//! A field of a form: its label above it, below it its rule, or the error that belongs to it.

use leptos::prelude::*;

/// The texts and rules of a field.
#[derive(Clone, Debug, Default)]
pub struct FieldRules {
    /// The field's id in the page; its rule is `ID-rule`, its error `ID-error`.
    pub id: &'static str,
    /// The field's name in the form.
    pub name: &'static str,
    /// The type of the input; empty: text.
    pub kind: &'static str,
    /// The label.
    pub label: &'static str,
    /// The rule, below the field. Empty: none.
    pub rule: &'static str,
    /// The kind of value, for password managers.
    pub autocomplete: &'static str,
    /// Fewest characters, checked by the browser.
    pub min: Option<&'static str>,
    /// Most characters that the browser lets in.
    pub max: Option<&'static str>,
    /// The form can be sent without it.
    pub is_optional: bool,
    /// The person sees the value and cannot change it.
    pub is_fixed: bool,
}

/// Renders a field with `value`. With an `error` it has the focus when the page is loaded.
#[component]
pub fn Field(rules: FieldRules, value: String, error: Option<String>) -> impl IntoView {
    let FieldRules { id, name, kind, label, rule, autocomplete, min, max, is_optional, is_fixed } = rules;
    let (rule_id, error_id) = (format!("{id}-rule"), format!("{id}-error"));
    let mut described = Vec::new();
    let is_wrong = error.is_some();
    // An error names the rule that was broken.
    let has_rule = !rule.is_empty() && !is_wrong;
    if is_wrong {
        described.push(error_id.clone());
    }
    if has_rule {
        described.push(rule_id.clone());
    }
    let kind = if kind.is_empty() { "text" } else { kind };
    view! {
        <div class="field">
            <label class="field__label" for=id>{label}</label>
            <input
                class="field__input" id=id name=name type=kind value=value
                required=!is_optional && !is_fixed readonly=is_fixed minlength=min maxlength=max
                autocomplete=autocomplete autocapitalize="none" spellcheck="false" dir="auto"
                aria-invalid=is_wrong.then_some("true") aria-describedby=(!described.is_empty()).then(|| described.join(" "))
                autofocus=is_wrong
            />
            {error.map(|error| view! { <p class="refusal field__error" id=error_id role="alert">{error}</p> })}
            {has_rule.then(|| view! { <p class="field__rule" id=rule_id>{rule}</p> })}
        </div>
    }
    .into_any()
}

/// Renders the refusal of a form as a whole.
#[component]
pub fn FormError(error: Option<String>) -> impl IntoView {
    error.map(|error| view! { <p class="refusal form__error" role="alert">{error}</p> })
}
