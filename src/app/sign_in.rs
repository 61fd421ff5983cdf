//! `/sign-in`: to go on as a guest, to sign in to an account, to register one. Each is a tab with an address of its own and one
//! form, so that it works without JavaScript, and a refused form comes back to its own tab.

use crate::app::api::sign_in_page;
use crate::app::field::{Field, FieldRules, FormError};
use crate::app::i18n::lang;
use crate::app::page_title::PageTitle;
use crate::app::top_bar::TopBar;
use crate::domain::{
    name,
    paths::{self, SignInTab},
    refusal::Refusal,
    reply::ReturnedForm,
    room::{Page, Person},
};
use crate::t;
use leptos::prelude::*;
use leptos_meta::Meta;
use leptos_router::hooks::use_query_map;

/// The choices in the address of the page.
#[derive(Clone)]
struct Asked {
    tab: Option<SignInTab>,
    /// The path to go to afterwards, usually the room that the person came from.
    next: Option<String>,
    /// The token of the owner's link.
    owner: Option<String>,
}

/// Renders the page. `?tab=` is the form, `?next=` the path to go to afterwards, `?owner=` the token of the owner's link.
#[component]
pub fn SignInPage() -> impl IntoView {
    let page = Resource::new_blocking(|| (), |()| sign_in_page());
    let query = use_query_map();
    let asked = move || {
        query.with(|query| Asked {
            tab: query.get("tab").and_then(|tab| SignInTab::from_code(&tab)),
            // The link of this page's own bar leads to this page: it is no place to go to afterwards.
            next: query.get("next").filter(|next| next.starts_with('/') && !next.starts_with(paths::SIGN_IN_PAGE)),
            owner: query.get("owner"),
        })
    };
    view! {
        <Suspense>
            {move || Suspend::new(async move {
                let page = page.await.unwrap_or(Page { content: (), you: None, returned: None });
                view! { <SignIn page asked=asked()/> }
            })}
        </Suspense>
    }
    .into_any()
}

#[component]
fn SignIn(page: Page<()>, asked: Asked) -> impl IntoView {
    let Page { you, returned, .. } = page;
    let Asked { next, owner, .. } = asked.clone();
    let returned = returned.filter(|returned| tab_of(&returned.form).is_some());
    let tab = chosen_tab(&asked, you.as_ref(), returned.as_ref());
    // A form that was refused on another tab is not shown on this one.
    let returned = returned.filter(|returned| tab_of(&returned.form) == Some(tab));
    let title = match (tab, you.is_some()) {
        (SignInTab::Guest, false) => t!(guest),
        (SignInTab::Guest, true) => t!(change_nickname),
        (SignInTab::LogIn, _) => t!(sign_in),
        (SignInTab::Register, _) => t!(register),
    };
    let form = match tab {
        SignInTab::Guest => view! { <GuestForm you=you.clone() returned next=next.clone()/> }.into_any(),
        SignInTab::LogIn => view! { <LogInForm returned next=next.clone()/> }.into_any(),
        SignInTab::Register => {
            view! { <RegisterForm you=you.clone() returned owner=owner.clone() next=next.clone()/> }.into_any()
        }
    };
    view! {
        <PageTitle text=title.to_string()/>
        <Meta name="description" content=t!(description)/>
        <TopBar you=you.clone()/>
        <main class="page page--narrow">
            <h1>{title}</h1>
            {owner.is_none().then(|| view! { <Tabs chosen=tab has_session=you.is_some() next/> })}
            <section class="card">{form}</section>
        </main>
    }
    .into_any()
}

/// The owner's link registers; a refused form comes back; then the address decides. Without it a guest is asked to register, and
/// anyone else to sign in.
fn chosen_tab(asked: &Asked, you: Option<&Person>, returned: Option<&ReturnedForm>) -> SignInTab {
    let is_guest = you.is_some_and(|you| you.account.is_none());
    match (&asked.owner, asked.tab) {
        (Some(_), _) => SignInTab::Register,
        (None, Some(tab)) => tab,
        (None, None) => returned.and_then(|returned| tab_of(&returned.form)).unwrap_or(if is_guest {
            SignInTab::Register
        } else {
            SignInTab::LogIn
        }),
    }
}

/// The tab of a form's path.
fn tab_of(form: &str) -> Option<SignInTab> {
    match form {
        paths::GUEST => Some(SignInTab::Guest),
        paths::LOGIN => Some(SignInTab::LogIn),
        paths::REGISTER => Some(SignInTab::Register),
        _ => None,
    }
}

#[component]
fn Tabs(chosen: SignInTab, has_session: bool, next: Option<String>) -> impl IntoView {
    let guest = if has_session { t!(nickname) } else { t!(tab_guest) };
    let tabs = [(SignInTab::Guest, guest), (SignInTab::LogIn, t!(sign_in)), (SignInTab::Register, t!(tab_register))];
    let links = tabs.map(|(tab, label)| {
        let href = paths::sign_in_page(tab, next.as_deref());
        view! { <a class="tabs__tab" href=href aria-current=(tab == chosen).then_some("page")>{label}</a> }
    });
    view! { <nav class="tabs" aria-label=t!(ways_to_sign_in)>{links.collect_view()}</nav> }.into_any()
}

#[component]
fn GuestForm(you: Option<Person>, returned: Option<ReturnedForm>, next: Option<String>) -> impl IntoView {
    let Returned { text, error, .. } = Returned::of(returned, |_| "nickname");
    let (is_known, nickname) = (you.is_some(), you.map(|you| you.nickname).unwrap_or_default());
    let (hint, button) = if is_known { (t!(rename_hint), t!(save)) } else { (t!(guest_hint), t!(enter)) };
    let error = error.map(|(_, words)| words);
    view! {
        <p class="card__hint">{hint}</p>
        <form class="column-form" method="post" action=paths::GUEST>
            <Paths tab=SignInTab::Guest next/>
            <Field
                rules=FieldRules {
                    id: "guest-nickname", name: "nickname", label: t!(nickname), rule: t!(nickname_rule),
                    autocomplete: "nickname", max: Some("256"), ..FieldRules::default()
                }
                value=text.unwrap_or(nickname) error
            />
            <button class="button">{button}</button>
        </form>
    }
    .into_any()
}

#[component]
fn LogInForm(returned: Option<ReturnedForm>, next: Option<String>) -> impl IntoView {
    let returned = Returned::of(returned, |_| "name");
    view! {
        <form class="column-form" method="post" action=paths::LOGIN>
            <Paths tab=SignInTab::LogIn next/>
            <FormError error=returned.of_form()/>
            <Field
                rules=FieldRules {
                    id: "login-name", name: "name", label: t!(name), autocomplete: "username", max: Some("256"),
                    ..FieldRules::default()
                }
                error=returned.of_field("name") value=returned.text.clone().unwrap_or_default()
            />
            <Field
                rules=FieldRules {
                    id: "login-password", name: "password", kind: "password", label: t!(password),
                    autocomplete: "current-password", ..FieldRules::default()
                }
                error=returned.of_field("password") value=String::new()
            />
            <button class="button">{t!(sign_in)}</button>
        </form>
    }
    .into_any()
}

#[component]
fn RegisterForm(
    you: Option<Person>,
    returned: Option<ReturnedForm>,
    owner: Option<String>,
    next: Option<String>,
) -> impl IntoView {
    let returned = Returned::of(returned, long_field);
    let is_guest = you.as_ref().is_some_and(|you| you.account.is_none());
    let hint = match (owner.is_some(), is_guest) {
        (true, _) => t!(owner_hint),
        (false, true) => t!(register_as_guest_hint),
        (false, false) => t!(register_hint),
    };
    // The nickname of an account is that account's; a new one begins without.
    let own = you.filter(|_| is_guest).map(|you| you.nickname).unwrap_or_default();
    let nickname = returned.text.as_ref().map_or(own, |_| returned.more.clone());
    view! {
        <p class="card__hint">{hint}</p>
        <form class="column-form" method="post" action=paths::REGISTER>
            {match owner {
                None => view! { <Paths tab=SignInTab::Register next/> }.into_any(),
                Some(owner) => view! {
                    <input type="hidden" name="back" value=format!("{}?owner={owner}", paths::SIGN_IN_PAGE)/>
                    <input type="hidden" name="owner" value=owner/>
                }
                .into_any(),
            }}
            <FormError error=returned.of_form()/>
            <Field
                rules=FieldRules {
                    id: "register-name", name: "name", label: t!(name), rule: t!(name_rule), autocomplete: "username",
                    max: Some("64"), ..FieldRules::default()
                }
                error=returned.of_field("name") value=returned.text.clone().unwrap_or_default()
            />
            <Field
                rules=FieldRules {
                    id: "register-password", name: "password", kind: "password", label: t!(password), rule: t!(password_rule),
                    autocomplete: "new-password", min: Some("8"), ..FieldRules::default()
                }
                error=returned.of_field("password") value=String::new()
            />
            <Field
                rules=FieldRules {
                    id: "register-nickname", name: "nickname", label: t!(nickname_optional), rule: t!(nickname_rule),
                    autocomplete: "nickname", max: Some("256"), is_optional: true, ..FieldRules::default()
                }
                error=returned.of_field("nickname") value=nickname
            />
            <button class="button">{t!(register)}</button>
        </form>
    }
    .into_any()
}

/// Renders the hidden fields with the address of this tab, to which a refused form comes back, and the path to go to afterwards.
#[component]
fn Paths(tab: SignInTab, next: Option<String>) -> impl IntoView {
    let back = paths::sign_in_page(tab, next.as_deref());
    view! {
        <input type="hidden" name="back" value=back/>
        {next.map(|next| view! { <input type="hidden" name="next" value=next/> })}
    }
    .into_any()
}

/// A refused form: what was typed, and the error with the field that it belongs to; an empty field is the form as a whole.
struct Returned {
    text: Option<String>,
    more: String,
    error: Option<(String, String)>,
}

impl Returned {
    /// `long_field` names the field of a text that is too long.
    fn of(returned: Option<ReturnedForm>, long_field: impl FnOnce(&ReturnedForm) -> &'static str) -> Self {
        let Some(returned) = returned else { return Self { text: None, more: String::new(), error: None } };
        let refusal = &returned.refusal;
        let is_guest = returned.form == paths::GUEST;
        let field: &str = match refusal {
            _ if is_guest => "nickname",
            Refusal::Malformed { field } | Refusal::Blank { field } if ["name", "nickname", "password"].contains(&&**field) => {
                field
            }
            Refusal::NameTaken => "name",
            Refusal::TooLong { .. } => long_field(&returned),
            // On this page the code means a wrong name or password.
            Refusal::NotSignedIn => "password",
            _ => "",
        };
        let words = match refusal {
            Refusal::NotSignedIn if returned.form == paths::LOGIN => t!(wrong_login).to_owned(),
            refusal => refusal.message(lang()),
        };
        let error = Some((field.to_owned(), words));
        Self { text: Some(returned.text), more: returned.more, error }
    }

    fn of_field(&self, name: &str) -> Option<String> {
        self.error.as_ref().filter(|(field, _)| field == name).map(|(_, words)| words.clone())
    }

    fn of_form(&self) -> Option<String> {
        self.of_field("")
    }
}

/// The field of a registration that is too long: the first that breaks its own rule.
fn long_field(returned: &ReturnedForm) -> &'static str {
    if name::account(&returned.text).is_err() {
        return "name";
    }
    if name::nickname(&returned.more) == Err(Refusal::TooLong { max: 32 }) { "nickname" } else { "password" }
}
